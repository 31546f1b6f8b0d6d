#!lua flags=allow-oom
-- uses: root, is_final
-- NOTE_LEFTOVERS: something was stored for a job after its end, and is to be removed.
-- ARGV root, id
-- returns 1, or 0 where it has not ended, or has no record any more
local id = ARGV[2]
local state = redis.call('HGET', root .. 'job:' .. id, 'state')
if not state or not is_final(state) then return 0 end
redis.call('SADD', root .. 'leftovers', id)
return 1
