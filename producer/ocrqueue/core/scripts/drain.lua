#!lua flags=allow-oom
-- uses: root
-- DRAIN: workers must end when their parts in hand have ended. Their next heartbeat tells them.
-- ARGV root, for how long it is kept (s), holder (the worker's instance), ...
-- returns how many were told. Its time grows with the number of workers that are named.
local kept_s = ARGV[2]
for number = 3, #ARGV do redis.call('SET', root .. 'drain:' .. ARGV[number], '1', 'EX', kept_s) end
return #ARGV - 2
