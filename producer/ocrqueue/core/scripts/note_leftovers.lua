#!lua flags=allow-oom
-- uses: root, clock, as_text, is_final, ended_ids
-- NOTE_LEFTOVERS: something was stored for a job after its end, and is to be removed.
-- ARGV root, id, own_result ('1' where no result stands in storage but what the caller itself has
--   stored)
-- returns 1, or 0 where it has not ended, or has no record any more and what stands may be its result
local id, own_result = ARGV[2], ARGV[3] == '1'
local state = redis.call('HGET', root .. 'job:' .. id, 'state')
if not state then
  if not own_result or not has_ended(id) then return 0 end
  -- it was deleted
  redis.call('ZADD', root .. 'deleted', as_text(now), id .. ' ')
  return 1
end
if not is_final(state) then return 0 end
if own_result then redis.call('HSET', root .. 'job:' .. id, 'own_result', '1') end
redis.call('SADD', root .. 'leftovers', id)
return 1
