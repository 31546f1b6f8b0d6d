#!lua flags=allow-oom
-- uses: root, clock, as_text, silence, is_final, ended_ids, places, counts, inputs
-- uses: batch_keys, job_lists, webhooks, batches, reservations, ending, page_parts, lines, attempts, leaving
-- RECLAIM: what was in the hand of somebody who has been silent for longer than its lease goes back to its place; what
-- has paused for long enough does too; ends that were remembered for long enough are forgotten.
-- ARGV root, policy (lease_ms, record_ttl_ms, dead_letter_ttl_ms, ended_ttl_ms, delivery_cap, take_cap, poison,
--   never_begun, cancelled), how many of each at most
-- returns {parts reclaimed, parts that were poison, parts whose pause is over, for how long (ms) no lease is
--   overdue since nobody was in touch before, jobs that have ended and of which something may be left in storage, the
--   most entries that left a list of jobs, jobs that were deleted a while ago and have something in storage}
local policy, most = cjson.decode(ARGV[2]), tonumber(ARGV[3])
local function is_strange(key)
  local kind = redis.call('TYPE', key).ok
  return kind ~= 'hash' and kind ~= 'none'
end

-- Where others have put something else at its key, it is nobody's, and is dropped.
local function due(index)
  local found = {}
  for _, part in ipairs(redis.call('ZRANGEBYSCORE', root .. index, '-inf', as_text(now), 'LIMIT', 0, most)) do
    if is_strange(part_key(part)) or is_strange(record_key(job_of(part))) then
      redis.call('ZREM', root .. index, part)
    else
      found[#found + 1] = part
    end
  end
  return found
end

local function forget(index, older_than_ms)
  local old = redis.call('ZRANGEBYSCORE', root .. index, '-inf', as_text(now - older_than_ms), 'LIMIT', 0, most)
  if #old > 0 then redis.call('ZREM', root .. index, unpack(old)) end
end

local released = 0
for _, part in ipairs(due('delayed')) do
  redis.call('ZREM', root .. 'delayed', part)
  local own = redis.call('HMGET', part_key(part), 'place', 'lane', 'sequence')
  if own[1] == 'delayed' then
    local tenant = redis.call('HGET', record_key(job_of(part)), 'tenant') or ''
    back_to_lane(part, part_key(part), own[2], tenant, own[3])
    released = released + 1
  end
end
forget_expired_days()
forget('dead', policy.dead_letter_ttl_ms)

-- Those whose records have expired leave the lists. How many of them were looked at.
local function unlist_expired(state, life_ms)
  local before = '(' .. as_text(now - life_ms)
  local entries = redis.call('ZRANGEBYSCORE', state_list(state), '-inf', before, 'LIMIT', 0, most)
  for _, entry in ipairs(entries) do
    local left_ms = redis.call('PTTL', record_key((names_in(entry))))
    if left_ms >= 0 then
      -- it ended when records were kept for longer
      redis.call('ZADD', state_list(state), as_text(now - life_ms + left_ms), entry)
    elseif left_ms == -2 then
      unlist_entry(state, entry)
    else
      redis.call('ZREM', state_list(state), entry)
    end
  end
  return #entries
end

local unlisted = unlist_expired('failed', policy.dead_letter_ttl_ms)
for _, state in ipairs({'succeeded', 'partial', 'cancelled'}) do
  unlisted = math.max(unlisted, unlist_expired(state, policy.record_ttl_ms))
end
-- whoever deletes a job removes what it has stored at once; where it did not come to that, somebody else is to
local deleted = redis.call('ZCOUNT', root .. 'deleted', '-inf', as_text(now - 60000))
local leftovers = redis.call('SRANDMEMBER', root .. 'leftovers', most)
note_contact(policy.lease_ms)
local grace_ms = grace_left()
if grace_ms > 0 then return {{}, {}, released, grace_ms, leftovers, unlisted, deleted} end
local reclaimed, poisonous = {}, {}
for _, part in ipairs(due('leases')) do
  local became = lose(part, policy)
  if became == 'requeued' then reclaimed[#reclaimed + 1] = part end
  if became == 'poison' then poisonous[#poisonous + 1] = part end
end
return {reclaimed, poisonous, released, 0, leftovers, unlisted, deleted}
