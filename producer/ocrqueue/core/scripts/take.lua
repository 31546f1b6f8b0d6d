#!lua flags=allow-oom
-- uses: root, clock, as_text, places, page_parts
-- TAKE: parts from the first of the lanes that has any into the worker's hand, under a lease.
-- ARGV root, token (random, made by the caller), holder (the worker's instance), lease (ms), lanes in the order in
--   which they are to be looked at (JSON: {{lane, how many parts at most, {kind: how many of that kind}}, ...}, the
--   last only where they are more, and only heeded where nothing waits in another lane), children the worker has for
--   them
-- From a lane that is paused, or whose engine is, nothing is taken.
-- Asked again with the same token, it returns the same parts.
-- returns {lane, parts that wait in it still, {part, job, traits, ...}}, or {} where nothing waits, or a thousand
--   entries without a record have been met, and the lane's bell rings for the rest; traits is a string
--   of letters: n (came by name), a (to be read alone), c (closing part), p (poison: not to be read), then
--   `;`, the kind, `;` and the trace's context
local token, holder, lease_ms, lanes = ARGV[2], ARGV[3], tonumber(ARGV[4]), cjson.decode(ARGV[5])
local own_children = tonumber(ARGV[6])
local hand = root .. 'hand:' .. holder

-- What is known of the part and its job: {place, kind, alone, takes, job, by_name, closing, poison, trace}. Without a
-- place where that is gone, or others have put something else at its key.
local function look_at(part)
  local own = redis.pcall('HMGET', part_key(part), 'place', 'kind', 'alone', 'takes', 'job', 'by_name', 'closing',
    'poison', 'trace')
  if own.err or not is_page_part(part) then return own end
  local job = redis.pcall('HMGET', record_key(job_of(part)), 'job', 'by_name', 'trace')
  if not job[1] then return {} end
  -- a page that takes a route by itself has a job of its own, which says how far it has come
  own[5], own[6], own[9] = own[5] or job[1], job[2], job[3]
  return own
end

-- As TAKE's answer has them.
local function described(parts, known_of)
  local found = {}
  for _, part in ipairs(parts) do
    local known = known_of[part]
    if known[1] then
      found[#found + 1] = part
      found[#found + 1] = known[5] or ''
      found[#found + 1] = (known[6] and 'n' or '') .. (known[3] and 'a' or '') .. (known[7] and 'c' or '') ..
        (known[8] and 'p' or '') .. ';' .. (known[2] or '') .. ';' .. (known[9] or '')
    end
  end
  return found
end

local function weight_of(tenant)
  local weight = tonumber(redis.call('HGET', root .. 'weights', tenant) or 1)
  return weight and weight > 0 and weight or 1
end

-- The tenant's turn, which started at `tag`, is used up by so many parts.
local function advance(lane, tenant, tag, parts, weight)
  local after = string.format('%.17g', tag + parts / weight)
  if redis.call('ZADD', lane_key(lane), 'XX', 'CH', after, tenant) == 0 then depart(lane, tenant, after) end
end

local function take(part, takes, lane, tenant)
  remove_from_lane(part, lane, tenant)
  redis.call('HSET', part_key(part), 'place', 'hand', 'token', token, 'holder', holder, 'takes', as_text(takes + 1))
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
  local waiting = tonumber(redis.call('HGET', root .. 'waiting', counted_as(lane)) or 0)
  return math.max(1, math.min(most, math.ceil(waiting / children)))
end

-- Parts of one kind from the head of the lane, what is known of each, and how many were looked at: 4 times as many as
-- may be taken. Of some kinds more may be than of others. Tenants have their turns within them too, part by part.
local function take_from(lane, most, of_kind)
  local parts, known_of, kind, looked_at = {}, {}, nil, 0
  local widest = most
  for _, count in pairs(of_kind) do widest = math.max(widest, count) end
  local last = widest == 1 and 0 or 4 * widest - 1
  local tenants, found = {}, redis.call('ZRANGE', lane_key(lane), 0, last, 'WITHSCORES')
  for number = 1, #found, 2 do
    local tag = found[number + 1]
    tenants[#tenants + 1] = {name = found[number], tag = tag, turn = tonumber(tag), taken = 0}
  end

  -- Whose turn is the first; nil where nobody has parts that were not looked at.
  local function next_tenant()
    local first
    for _, tenant in ipairs(tenants) do
      if not tenant.is_over and (not first or tenant.turn < first.turn) then first = tenant end
    end
    return first
  end

  local tenant, first_tag = next_tenant(), nil
  while tenant and #parts < most and looked_at < 4 * widest and kind ~= false do
    tenant.parts = tenant.parts or redis.call('ZRANGE', queue_key(lane, tenant.name), 0, last)
    tenant.at = (tenant.at or 0) + 1
    local part = tenant.parts[tenant.at]
    if not part then
      tenant.is_over = true
    else
      looked_at = looked_at + 1
      local own = look_at(part)
      if own[1] ~= 'waiting' then
        -- there is nothing to do about it
        remove_from_lane(part, lane, tenant.name)
        if is_page_part(part) then redis.call('DEL', part_key(part)) end
      elseif kind == nil or (not own[3] and own[2] ~= '' and own[2] == kind) then
        if kind == nil then
          -- false: by itself
          kind = not own[3] and own[2] ~= '' and own[2]
          if of_kind[kind] then most = math.max(most, share(lane, of_kind[kind])) end
          first_tag = tenant.tag
        end
        take(part, own[4] or 0, lane, tenant.name)
        parts[#parts + 1] = part
        known_of[part] = own
        tenant.taken = tenant.taken + 1
        tenant.weight = tenant.weight or weight_of(tenant.name)
        tenant.turn = tenant.turn + 1 / tenant.weight
      end
    end
    tenant = next_tenant()
  end
  -- a batch may have parts of tenants whose turn is later
  if first_tag then pass_time(lane, first_tag) end
  for _, each in ipairs(tenants) do
    if each.taken > 0 then advance(lane, each.name, tonumber(each.tag), each.taken, each.weight) end
  end
  return parts, known_of, looked_at
end

local before = redis.call('HGET', hand, token)
if before then
  local lane, names = string.match(before, '^(%S+) (.*)$')
  local parts, known_of = {}, {}
  for part in string.gmatch(names, '%S+') do
    parts[#parts + 1] = part
    known_of[part] = look_at(part)
  end
  return {lane, 0, described(parts, known_of)}
end

-- A lane may hold any number of entries of which there is no record.
local most_looked_at = 1000

-- Lanes have their share of the takes. Where something waits in another one, a take of more than the engine likes would
-- be more than a share. Those before the lane have nothing to give.
local function waits_after(number)
  for other = number + 1, #lanes do
    local lane = lanes[other][1]
    if not is_lane_paused(lane) and redis.call('EXISTS', lane_key(lane)) == 1 then return true end
  end
  return false
end

local names, seen = {}, 0
for number, asked in ipairs(lanes) do names[number] = asked[1] end
look_at_turns(names)
for number, asked in ipairs(lanes) do
  local lane = asked[1]
  local of_kind = asked[3] and not waits_after(number) and asked[3] or {}
  local most = share(lane, asked[2])
  local parts, known_of, looked_at = {}, {}, 0
  repeat
    if not is_lane_paused(lane) then parts, known_of, looked_at = take_from(lane, most, of_kind) end
    seen = seen + looked_at
    -- only what has no record was met
  until #parts > 0 or looked_at == 0 or seen >= most_looked_at
  if #parts > 0 then
    redis.call('HSET', hand, token, lane .. ' ' .. table.concat(parts, ' '))
    if #parts > 1 then
      for _, part in ipairs(parts) do redis.call('HSET', part_key(part), 'together', '1') end
    end
    local left = tonumber(redis.call('HGET', root .. 'waiting', counted_as(lane)) or 0)
    -- what is left may be of paused tenants
    if left > 0 and redis.call('EXISTS', lane_key(lane)) == 1 then ring_at(lane) end
    return {lane, left, described(parts, known_of)}
  end
  if seen >= most_looked_at then
    -- who listens next goes on
    ring_at(lane)
    return {}
  end
end
return {}
