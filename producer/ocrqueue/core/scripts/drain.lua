#!lua flags=allow-oom
-- uses: root, arguments
-- DRAIN: workers must end when their parts in hand have ended. Their next heartbeat tells them.
-- ARGV root, for how long it is kept (s), holder (the worker's instance), ...
-- returns how many were told. Its time grows with the number of workers that are named.
local kept_s, holders = ARGV[2], arguments_from(3)
for _, holder in ipairs(holders) do redis.call('SET', root .. 'drain:' .. holder, '1', 'EX', kept_s) end
return #holders
