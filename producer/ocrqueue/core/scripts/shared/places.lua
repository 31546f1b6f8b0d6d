-- Where a part is, and how it gets into and out of its lane. Needs `root`: what stands before every key.
local function record_key(id) return root .. 'job:' .. id end

-- `<job>` for a job of one part, and for the opening and closing part of others; `<job>:<number>` for a range of pages
local function job_of(part) return string.match(part, '^[^:]*') end
local function is_page_part(part) return string.find(part, ':', 1, true) ~= nil end

local function part_key(part)
  return is_page_part(part) and root .. 'part:' .. part or record_key(part)
end

local function lane_key(lane) return root .. 'lane:' .. lane end
local function queue_key(lane, tenant) return root .. 'queue:' .. lane .. ':' .. tenant end

-- A side lane, `<lane>/<who may take from it>`, is a lane as others are; what waits in it is counted as its lane's, and
-- is paused with it.
local function counted_as(lane) return string.match(lane, '^[^/]*') end
local function engine_of(lane) return lane and string.match(lane, '^ocr%.([^./]+)') or '' end

-- Of the hash of turns, each field is asked for once in a script: virtual times, and what is paused.
local turns = {}

-- Of lanes that it has not been asked of yet, and of the tenant, if one is given.
local function look_at_turns(lanes, tenant)
  local fields = {}
  for _, lane in ipairs(lanes) do
    if turns[lane] == nil then
      fields[#fields + 1] = lane
      fields[#fields + 1] = 'lane:' .. counted_as(lane)
      fields[#fields + 1] = 'engine:' .. engine_of(lane)
    end
  end
  if tenant and turns['tenant:' .. tenant] == nil then fields[#fields + 1] = 'tenant:' .. tenant end
  if #fields == 0 then return end
  for number, value in ipairs(redis.call('HMGET', root .. 'turns', unpack(fields))) do turns[fields[number]] = value end
end

-- A paused lane, and one of a paused engine, keeps its turns, and nobody gets any.
local function is_lane_paused(lane)
  look_at_turns({lane})
  return (turns['lane:' .. counted_as(lane)] or turns['engine:' .. engine_of(lane)]) and true or false
end

-- Whether nothing of the tenant's is to be taken from the lane. A paused tenant has no turn in any.
local function is_paused(lane, tenant)
  look_at_turns({lane}, tenant)
  return turns['tenant:' .. tenant] and true or is_lane_paused(lane)
end

-- All lanes in which something has ever waited, and the side lanes that there are.
local function known_lanes()
  local lanes = redis.call('HKEYS', root .. 'waiting')
  for _, lane in ipairs(redis.call('SMEMBERS', root .. 'side_lanes')) do lanes[#lanes + 1] = lane end
  return lanes
end

-- One ring at most waits: where one does, nobody listens at this moment, and whoever is free next asks anyway.
local function ring_at(lane)
  local bell = root .. 'bell:' .. lane
  if redis.call('LLEN', bell) == 0 then redis.call('LPUSH', bell, '1') end
end

-- The tenant has something in the lane. For what is paused nobody is to get up.
local function ring(lane, tenant)
  if not is_paused(lane, tenant) then ring_at(lane) end
end

-- Lanes are fair by start times (Goyal, Vin, Cheng: Start-time Fair Queueing, 1996). A tenant's tag is when its next
-- turn starts in the lane's virtual time, which is the latest tag of what has been taken, and never goes back. A tenant
-- that returns starts at that time, or at the tag with which it left if that is later: single parts escape no weight.
local function departed_key(lane) return root .. 'departed:' .. lane end

local function virtual_time(lane)
  look_at_turns({lane})
  return turns[lane] or '0'
end

local function pass_time(lane, to)
  if tonumber(to) <= tonumber(virtual_time(lane)) then return end
  redis.call('HSET', root .. 'turns', lane, to)
  turns[lane] = to
end

-- Nothing of the tenant's waits in the lane, or it is paused. Where nobody has a turn, all that was ahead of time is
-- past.
local function depart(lane, tenant, tag)
  redis.call('ZREM', lane_key(lane), tenant)
  if redis.call('EXISTS', lane_key(lane)) == 1 then
    redis.call('ZADD', departed_key(lane), tag, tenant)
    redis.call('ZREMRANGEBYSCORE', departed_key(lane), '-inf', virtual_time(lane))
    return
  end
  pass_time(lane, tag)
  local latest = redis.call('ZRANGE', departed_key(lane), -1, -1, 'WITHSCORES')[2]
  if latest then
    pass_time(lane, latest)
    redis.call('UNLINK', departed_key(lane))
  end
end

-- Something of the tenant's waits in the lane: it has its turns there.
local function join(lane, tenant)
  if redis.call('ZADD', lane_key(lane), 'NX', virtual_time(lane), tenant) == 0 then return end
  local tag = redis.call('ZSCORE', departed_key(lane), tenant)
  if tag then
    redis.call('ZREM', departed_key(lane), tenant)
    redis.call('ZADD', lane_key(lane), 'GT', tag, tenant)
  end
end

-- The part waits in the lane, in its tenant's order of submission. Where the tenant is paused, it has no turn for now.
local function put_in_lane(part, lane, tenant, sequence)
  if redis.call('ZADD', queue_key(lane, tenant), sequence, part) == 1 then
    redis.call('HINCRBY', root .. 'waiting', counted_as(lane), 1)
  end
  if counted_as(lane) ~= lane then redis.call('SADD', root .. 'side_lanes', lane) end
  look_at_turns({lane}, tenant)
  if not turns['tenant:' .. tenant] then join(lane, tenant) end
end

-- Whether the part was there. The tenant's turn is not used up.
local function remove_from_lane(part, lane, tenant)
  local queue = queue_key(lane, tenant)
  if redis.call('ZREM', queue, part) == 0 then return false end
  redis.call('HINCRBY', root .. 'waiting', counted_as(lane), -1)
  if redis.call('EXISTS', queue) == 0 then
    local tag = redis.call('ZSCORE', lane_key(lane), tenant)
    if tag then depart(lane, tenant, tag) end
  end
  return true
end

-- In microseconds since 1970, but never twice: what is submitted later has a higher number.
local function next_sequences(count)
  local last = tonumber(redis.call('GET', root .. 'sequence') or 0)
  local first = math.max(last + 1, time[1] * 1000000 + time[2])
  redis.call('SET', root .. 'sequence', as_text(first + count - 1))
  return first
end

-- Its lease has ended. `begun` as its record has it: BEGIN has taken it out of the hand's book already.
local function end_lease(part, token, holder, begun)
  redis.call('ZREM', root .. 'leases', part)
  if holder and not begun then redis.call('HDEL', root .. 'hand:' .. holder, token) end
end

-- It is in nobody's hand any more.
local function let_go(part, key, token, holder, begun)
  end_lease(part, token, holder, begun)
  redis.call('HDEL', key, 'token', 'holder', 'begun', 'together')
end

-- On one of 16 channels, so that nobody subscribes once a job; ocrqueue.core.keys names the same one.
local function tell(id, event)
  local sum = 0
  for _, byte in ipairs({string.byte(id, -4, -1)}) do sum = sum + byte end
  redis.call('PUBLISH', root .. 'events:' .. sum % 16, id .. ' ' .. event)
end

-- A job waits again with its only part; one that was split goes on with the others.
-- `counted_in`: counters of a batch in which it was counted as running, or nil.
local function tell_queued(part, counted_in)
  if is_page_part(part) then return end
  if counted_in then redis.call('HINCRBY', counted_in, 'running', -1) end
  redis.call('HSET', record_key(part), 'state', 'queued')
  tell(part, 'queued')
end

-- Back into its lane at its old place, as if it had not been taken.
local function back_to_lane(part, key, lane, tenant, sequence, counted_in)
  redis.call('HSET', key, 'place', 'waiting')
  put_in_lane(part, lane, tenant, sequence)
  ring(lane, tenant)
  tell_queued(part, counted_in)
end
