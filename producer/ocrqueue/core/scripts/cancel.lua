#!lua flags=allow-oom
-- uses: root, clock, as_text, is_final, ended_ids, places, counts, inputs, ending, page_parts, leaving
-- CANCEL: what waits is removed at once, what was taken and not begun is taken back; what runs is asked to stop.
-- ARGV root, id, cancelled (the ending), revoked_ms (for how long an id that nobody knows is remembered, for its
--   message may not have been taken in yet; 0: not)
-- returns the record's state after it; false for no record, 'ended' where only the end is remembered
local id, cancelled, revoked_ms = ARGV[2], cjson.decode(ARGV[3]), ARGV[4]
local record = record_key(id)

-- Whether the part was stopped at once; one under way is asked to.
local function stop(part)
  local key = part_key(part)
  local own = redis.call('HMGET', key, 'place', 'begun', 'token', 'holder', 'lane')
  if own[1] == 'hand' and own[2] then
    redis.call('PUBLISH', root .. 'cancel', part .. ' ' .. own[3])
    return false
  end
  if own[1] == 'waiting' then
    remove_from_lane(part, own[5], redis.call('HGET', record, 'tenant') or '')
  elseif own[1] == 'delayed' then
    redis.call('ZREM', root .. 'delayed', part)
  elseif own[1] == 'hand' then
    let_go(part, key, own[3], own[4], own[2])
  end
  return true
end

local state, place = unpack(redis.call('HMGET', record, 'state', 'place'))
if not state then
  if has_ended(id) then return 'ended' end
  if revoked_ms ~= '0' then redis.call('SET', root .. 'revoked:' .. id, '1', 'PX', revoked_ms) end
  return false
end
if is_final(state) then return state end
if place ~= 'split' then
  if stop(id) then return end_job(id, cancelled) end
  redis.call('HSET', record, 'cancel', '1')
  return state
end
redis.call('HSET', record, 'cancel', '1')
for _, part in ipairs(redis.call('SMEMBERS', root .. 'open:' .. id)) do
  if stop(part) then page_part_done(part, '') end
end
if end_if_nobody_works_on(id, cancelled) then return 'cancelled' end
return state
