#!lua flags=allow-oom
-- uses: root, clock, as_text, is_final, ended_ids, places, counts, inputs
-- uses: batch_keys, job_lists, webhooks, batches, reservations, ending, page_parts, lines, attempts, leaving, audit
-- CANCEL: what waits is removed at once, what was taken and not begun is taken back; what runs is asked to stop.
-- ARGV root, run (see shared/audit.lua), cancelled (the ending), revoked_ms (for how long an id that nobody knows is
--   remembered, for its message may not have been taken in yet; 0: not), id, ...
-- returns for each id the record's state after it; false for no record, 'ended' or 'deleted' where only that is
--   remembered. After some hundred parts it leaves the rest of the ids alone, and its answer is shorter.
local run, cancelled, revoked_ms, ids = ARGV[2], cjson.decode(ARGV[3]), ARGV[4], {unpack(ARGV, 5)}
local most_parts = 100
local parts_stopped, jobs_stopped = 0, 0

-- Whether the part was stopped at once; one under way is asked to.
local function stop(part)
  local key = part_key(part)
  local own = redis.call('HMGET', key, 'place', 'begun', 'token', 'holder', 'lane')
  parts_stopped = parts_stopped + 1
  if own[1] == 'hand' and own[2] then
    redis.call('PUBLISH', root .. 'cancel', part .. ' ' .. own[3])
    return false
  end
  if own[1] == 'waiting' then
    remove_from_lane(part, own[5], redis.call('HGET', record_key(job_of(part)), 'tenant') or '')
  elseif own[1] == 'delayed' then
    redis.call('ZREM', root .. 'delayed', part)
  elseif own[1] == 'hand' then
    let_go(part, key, own[3], own[4], own[2])
  end
  return true
end

local function cancel(id)
  local record = record_key(id)
  local state, place, is_asked = unpack(redis.call('HMGET', record, 'state', 'place', 'cancel'))
  if not state then
    if has_ended(id) then return was_deleted(id) and 'deleted' or 'ended' end
    if revoked_ms ~= '0' then redis.call('SET', root .. 'revoked:' .. id, '1', 'PX', revoked_ms) end
    return false
  end
  if is_final(state) then return state end
  if not is_asked then jobs_stopped = jobs_stopped + 1 end
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
end

local answers = {}
for number, id in ipairs(ids) do
  answers[number] = cancel(id)
  if parts_stopped >= most_parts then break end
end
count_for(run, jobs_stopped)
return answers
