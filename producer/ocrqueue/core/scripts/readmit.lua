#!lua flags=allow-oom
-- uses: root, clock, as_text, places
-- READMIT: parts of a side lane of which nobody may take go back to its lane, each to its old place there; a side lane
-- in which nothing waits is forgotten.
-- ARGV root, side lane, how many parts at most (0: none goes back)
-- returns how many went back
local side, most = ARGV[2], tonumber(ARGV[3])
local lane, moved = counted_as(side), 0

-- A paused tenant has parts here, and no turn.
local function next_tenant()
  local tenant = redis.call('ZRANGE', lane_key(side), 0, 0)[1]
  if tenant then return tenant end
  for _, field in ipairs(redis.call('HKEYS', root .. 'turns')) do
    local paused = string.match(field, '^tenant:(.*)$')
    if paused and redis.call('EXISTS', queue_key(side, paused)) == 1 then return paused end
  end
end

local function next_part()
  local tenant = next_tenant()
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
    ring(lane, tenant)
  end
  moved = moved + 1
  part, tenant = next_part()
end
if not part then
  redis.call('SREM', root .. 'side_lanes', side)
  redis.call('HDEL', root .. 'turns', side)
  redis.call('UNLINK', root .. 'bell:' .. side)
end
return moved
