#!lua flags=allow-oom
-- uses: root, as_text, audit
-- DROP: jobs are taken off the list of dead letters.
-- ARGV root, run (see shared/audit.lua), id, ...
-- returns how many were on it
local run, ids = ARGV[2], {unpack(ARGV, 3)}
local dropped = redis.call('ZREM', root .. 'dead', unpack(ids))
count_for(run, dropped)
return dropped
