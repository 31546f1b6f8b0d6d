#!lua flags=allow-oom
-- uses: root, clock, as_text, places
-- READMIT: parts of a side lane of which nobody may take go back to its lane, each to its old place there; a side lane
-- in which nothing waits is forgotten.
-- ARGV root, side lane, how many parts at most (0: none goes back)
-- returns how many went back
local side, most = ARGV[2], tonumber(ARGV[3])
local lane, moved = counted_as(side), 0

local function next_part()
  local tenant = redis.call('ZRANGE', lane_key(side), 0, 0)[1]
  return tenant and redis.call('ZRANGE', queue_key(side, tenant), 0, 0)[1], tenant
end

local part, tenant = next_part()
while part and moved < most do
  local own = redis.call('HMGET', part_key(part), 'place', 'sequence')
  remove_from_lane(part, side, tenant)
  -- without a place its record is gone: there is nothing to do about it
  if own[1] == 'waiting' then
    redis.call('HSET', part_key(part), 'lane', lane)
    put_in_lane(part, lane, tenant, own[2])
  end
  moved = moved + 1
  part, tenant = next_part()
end
if moved > 0 then ring(lane) end
if not part then
  redis.call('SREM', root .. 'side_lanes', side)
  redis.call('HDEL', root .. 'virtual_time', side)
  redis.call('UNLINK', root .. 'bell:' .. side)
end
return moved
