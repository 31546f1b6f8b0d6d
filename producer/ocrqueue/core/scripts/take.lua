#!lua flags=allow-oom
-- uses: root, clock, as_text, places, page_parts
-- TAKE: parts from the first of the lanes that has any into the worker's hand, under a lease.
-- ARGV root, token (random, made by the caller), holder (the worker's instance), lease (ms), lanes in the order in
--   which they are to be looked at (JSON: {{lane, how many parts at most}, ...}), children the worker has for them
-- Asked again with the same token, it returns the same parts.
-- returns {lane, parts that wait in it still, {part, job, traits, ...}}, or {} where nothing waits; traits is a string
--   of letters: n (came by name), a (to be read alone), c (closing part), p (poison: not to be read), then
--   `;` and the trace's context
local token, holder, lease_ms, lanes = ARGV[2], ARGV[3], tonumber(ARGV[4]), cjson.decode(ARGV[5])
local own_children = tonumber(ARGV[6])
local hand = root .. 'hand:' .. holder

local function described(parts)
  local found = {}
  for _, part in ipairs(parts) do
    local own = redis.call('HGET', part_key(part), 'alone')
    local known = redis.call('HMGET', record_key(job_of(part)), 'job', 'by_name', 'closing', 'poison', 'trace')
    if known[1] then
      found[#found + 1] = part
      found[#found + 1] = known[1]
      found[#found + 1] = (known[2] and 'n' or '') .. (own and 'a' or '') .. (known[3] and 'c' or '') ..
        (known[4] and 'p' or '') .. ';' .. (known[5] or '')
    end
  end
  return found
end

local function weight_of(tenant)
  local weight = tonumber(redis.call('HGET', root .. 'weights', tenant) or 1)
  return weight and weight > 0 and weight or 1
end

-- The tenant's turn, which started at `tag`, is used up by so many parts.
local function advance(lane, tenant, tag, parts)
  local after = string.format('%.17g', tag + parts / weight_of(tenant))
  if redis.call('ZSCORE', lane_key(lane), tenant) then
    redis.call('ZADD', lane_key(lane), after, tenant)
  else
    depart(lane, tenant, after)
  end
end

local function take(part, lane, tenant)
  local key = part_key(part)
  remove_from_lane(part, lane, tenant)
  redis.call('HSET', key, 'place', 'hand', 'token', token, 'holder', holder)
  redis.call('HINCRBY', key, 'takes', 1)
  redis.call('ZADD', root .. 'leases', as_text(now + lease_ms), part)
  if is_page_part(part) then
    count_idle(part, -1)
    open_next_part(job_of(part))
  end
end

-- A batch is no larger than a child's even share of what waits: one child is not to read it all while others are idle.
local function share(lane, most)
  if most == 1 then return 1 end
  local children = math.max(own_children, tonumber(redis.call('HGET', root .. 'children', lane) or 0))
  local waiting = tonumber(redis.call('HGET', root .. 'waiting', lane) or 0)
  return math.max(1, math.min(most, math.ceil(waiting / children)))
end

-- Parts of one kind from the head of the lane; 4 times as many are looked at as may be taken.
local function take_from(lane, most)
  local parts, kind, looked_at = {}, nil, 0
  local tenants = redis.call('ZRANGE', lane_key(lane), 0, most == 1 and 0 or 4 * most - 1, 'WITHSCORES')
  for number = 1, #tenants, 2 do
    local tenant, taken = tenants[number], 0
    for _, part in ipairs(redis.call('ZRANGE', queue_key(lane, tenant), 0, most == 1 and 0 or 4 * most - 1)) do
      if #parts == most or looked_at == 4 * most then break end
      looked_at = looked_at + 1
      -- of a key at which others have put something else this is an error, without a place
      local own = redis.pcall('HMGET', part_key(part), 'place', 'kind', 'alone')
      if own[1] ~= 'waiting' or redis.call('TYPE', record_key(job_of(part))).ok ~= 'hash' then
        -- its record is gone: there is nothing to do about it
        remove_from_lane(part, lane, tenant)
        if is_page_part(part) then redis.call('DEL', part_key(part)) end
      elseif kind == nil or (not own[3] and own[2] ~= '' and own[2] == kind) then
        take(part, lane, tenant)
        parts[#parts + 1] = part
        taken = taken + 1
        -- false: by itself
        kind = not own[3] and own[2] ~= '' and own[2]
      end
    end
    if taken > 0 then
      -- a batch may have parts of tenants whose turn is later
      if #parts == taken then pass_time(lane, tenants[number + 1]) end
      advance(lane, tenant, tonumber(tenants[number + 1]), taken)
    end
    if #parts == most or looked_at == 4 * most or kind == false then break end
  end
  return parts, looked_at
end

local before = redis.call('HGET', hand, token)
if before then
  local lane, parts = string.match(before, '^(%S+) (.*)$'), {}
  for part in string.gmatch(string.match(before, ' (.*)$'), '%S+') do parts[#parts + 1] = part end
  return {lane, 0, described(parts)}
end
for _, asked in ipairs(lanes) do
  local lane = asked[1]
  local most = share(lane, asked[2])
  local parts, looked_at
  repeat
    parts, looked_at = take_from(lane, most)
    -- only what has no record was met
  until #parts > 0 or looked_at == 0
  if #parts > 0 then
    redis.call('HSET', hand, token, lane .. ' ' .. table.concat(parts, ' '))
    if #parts > 1 then
      for _, part in ipairs(parts) do redis.call('HSET', part_key(part), 'together', '1') end
    end
    local left = tonumber(redis.call('HGET', root .. 'waiting', lane) or 0)
    if left > 0 then ring(lane) end
    return {lane, left, described(parts)}
  end
end
return {}
