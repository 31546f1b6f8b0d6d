"""What puts a job into its queue: submitted, due again, lost, or back from the dead letters."""

from __future__ import annotations

from typing import Final

from ocrqueue.core.celery_messages import GROUP_BODY
from ocrqueue.core.scripts.parts import ADDS, CLOCK, COUNT, GOES_ON

_QUOTED_BODY: Final = f"""
local function body(jobs)
  return cjson.encode('{GROUP_BODY[0]}' .. table.concat(jobs, ',') .. '{GROUP_BODY[1]}')
end
"""

SUBMIT: Final = (
    ADDS
    + CLOCK
    + _QUOTED_BODY
    + """
-- KEYS queued; of each engine its three lanes, what their groups hold, and its jobs ended lately; of each job its
--   record, and its idempotency key if it has one
-- ARGV record's life (ms), idempotency key's life (ms), what stands before an id in a record's key, how many engines,
--   how many groups; of each engine how many jobs may wait (0: any number); of each group its id and what stands before
--   and after the body of its message; of each job id, job, message, number of its engine, number of its lane, 1 if it
--   has an idempotency key, number of its group (0: none, and else the message is empty)
-- submits the jobs in order, up to the first that finds its queue full; only those that are new are in the groups
-- returns {ids of the jobs that stand for those submitted}, and if one was refused: number of its engine, how many wait
-- there, now (ms), {period, jobs ended in it, ...}
local engines, groups, waiting, ids, refusal = tonumber(ARGV[4]), tonumber(ARGV[5]), {}, {}, {}
local function lane(engine, number) return KEYS[7 * engine - 6 + number] end
for engine = 1, engines do
  waiting[engine] = 0
  for number = 1, 3 do
    local messages, grouped = redis.call('LLEN', lane(engine, number)), lane(engine, number + 3)
    if messages > 0 then
      waiting[engine] = waiting[engine] + messages + tonumber(redis.call('HGET', grouped, 'total') or 0)
    else
      -- of a message that was lost on its way to a worker it may tell still
      redis.call('PEXPIRE', grouped, 0)
    end
  end
end
local first_group, first_job, next_key = engines + 6, engines + 6 + 3 * groups, 7 * engines + 2
local members, lanes = {}, {}
for first = first_job, #ARGV, 7 do
  local id, engine, number = ARGV[first], tonumber(ARGV[first + 3]), tonumber(ARGV[first + 4])
  local limit, group = tonumber(ARGV[5 + engine]), tonumber(ARGV[first + 6])
  local record, once = KEYS[next_key], ARGV[first + 5] == '1' and KEYS[next_key + 1]
  next_key = next_key + (once and 2 or 1)
  local earlier = once and redis.call('GET', once)
  if earlier and redis.call('EXISTS', ARGV[3] .. earlier) == 1 then
    ids[#ids + 1] = earlier
  else
    if redis.call('EXISTS', record) == 0 then
      if limit > 0 and waiting[engine] >= limit then
        refusal = {engine, waiting[engine], text(now), redis.call('HGETALL', lane(engine, 7))}
        break
      end
      if once then redis.call('SET', once, id, 'PX', ARGV[2]) end
      redis.call('HSET', record, 'state', 'queued', 'job', ARGV[first + 1], 'queued_at', text(now))
      redis.call('PEXPIRE', record, ARGV[1])
      if group == 0 then
        redis.call('LPUSH', lane(engine, number), ARGV[first + 2])
      else
        members[group] = members[group] or {}
        table.insert(members[group], ARGV[first + 1])
        lanes[group] = {lane(engine, number), lane(engine, number + 3)}
      end
      redis.call('ZADD', KEYS[1], text(now), id)
      waiting[engine] = waiting[engine] + 1
    end
    ids[#ids + 1] = id
  end
end
for group = 1, groups do
  if members[group] then
    local first = first_group + 3 * (group - 1)
    redis.call('LPUSH', lanes[group][1], ARGV[first + 1] .. body(members[group]) .. ARGV[first + 2])
    if #members[group] > 1 then
      redis.call('HSET', lanes[group][2], ARGV[first], #members[group] - 1)
      redis.call('HINCRBY', lanes[group][2], 'total', #members[group] - 1)
      redis.call('PEXPIRE', lanes[group][2], ARGV[1])
    end
  end
end
return {ids, unpack(refusal)}
"""
)

TAKEN: Final = (
    GOES_ON
    + """
-- KEYS what a queue's groups hold; ARGV id of a group
-- the group no longer waits in its queue
local jobs = redis.call('HGET', KEYS[1], ARGV[1])
if jobs then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('HINCRBY', KEYS[1], 'total', -jobs)
end
return 0
"""
)

RELEASE: Final = (
    GOES_ON
    + CLOCK
    + """
-- KEYS record, queue, queued, running, delayed
-- ARGV id, events channel, job, record's life (ms), message ('' if it is back in the queue without), error, worker,
--   attempt (0: whichever), pause (ms)
-- the attempt ended in order and the job is to have another, after the pause
-- returns 'released', 'ended' or 'elsewhere'
local found = redis.call('HMGET', KEYS[1], 'state', 'worker', 'attempts')
local state = found[1]
if state and final(state) then return 'ended' end
if state == 'running' then
  if found[2] ~= ARGV[7] or (ARGV[8] ~= '0' and found[3] ~= ARGV[8]) then return 'elsewhere' end
elseif state and (ARGV[8] ~= '0' or redis.call('ZSCORE', KEYS[5], ARGV[1])) then
  -- back in its queue, or in its pause before another attempt
  return 'elsewhere'
elseif not state then
  redis.call('HSET', KEYS[1], 'job', ARGV[3], 'queued_at', text(now))
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
redis.call('HSET', KEYS[1], 'state', 'queued', 'error', ARGV[6])
redis.call('HDEL', KEYS[1], 'deliveries', 'progress')
redis.call('ZREM', KEYS[4], ARGV[1])
if ARGV[9] == '0' then
  redis.call('ZADD', KEYS[3], text(now), ARGV[1])
  if ARGV[5] ~= '' then redis.call('RPUSH', KEYS[2], ARGV[5]) end
else
  redis.call('HINCRBY', KEYS[1], 'retries', 1)
  redis.call('HSET', KEYS[1], 'message', ARGV[5], 'lane', KEYS[2])
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('ZADD', KEYS[5], text(now + tonumber(ARGV[9])), ARGV[1])
end
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' queued')
return 'released'
"""
)

SEND_ON: Final = (
    GOES_ON
    + CLOCK
    + COUNT
    + """
-- KEYS record, queue, queued, running, delayed, of the engine before: jobs ended lately, pages read lately
-- ARGV id, events channel, job, record's life (ms), message, worker, attempt ('' and 0: whoever has the job), how many
--   engines have had their turn, period (ms), how many periods are kept, pages that were read
-- the next engine of the job's route has its turn; what is delivered of the turn before is dropped from now on
-- returns 'sent', 'ended', 'elsewhere', or 'cancelled': it was asked to stop
local found = redis.call('HMGET', KEYS[1], 'state', 'worker', 'attempts', 'cancel', 'step')
local state = found[1]
if state and final(state) then return 'ended' end
if state and ARGV[6] ~= '' and
    (state ~= 'running' or found[2] ~= ARGV[6] or (ARGV[7] ~= '0' and found[3] ~= ARGV[7])) then
  return 'elsewhere'
end
if tonumber(found[5] or 0) > tonumber(ARGV[8]) then return 'elsewhere' end
-- a second delivery of a job that came by name: it is on its route already
if ARGV[8] == '0' and (found[5] or found[3]) then return 'elsewhere' end
if found[4] then return 'cancelled' end
if not state then
  redis.call('HSET', KEYS[1], 'queued_at', text(now))
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
redis.call('HSET', KEYS[1], 'state', 'queued', 'job', ARGV[3], 'step', ARGV[8])
redis.call('HDEL', KEYS[1], 'deliveries', 'delivery', 'progress', 'error', 'retries', 'message', 'lane')
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('ZADD', KEYS[3], text(now), ARGV[1])
-- in front: it had its turn already, and what was begun is to be ended
redis.call('RPUSH', KEYS[2], ARGV[5])
if tonumber(ARGV[8]) > 0 then
  count(KEYS[6], 1, tonumber(ARGV[9]), tonumber(ARGV[10]))
  count(KEYS[7], tonumber(ARGV[11]), tonumber(ARGV[9]), tonumber(ARGV[10]))
end
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' queued')
return 'sent'
"""
)

PUBLISH_DUE: Final = (
    GOES_ON
    + CLOCK
    + """
-- KEYS delayed, queued, workers; ARGV what stands before an id in a record's key, how many at most
-- puts the jobs back in their queues whose pause is over; returns how many, and how many workers there are to ask
local published = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now), 'LIMIT', 0, ARGV[2])) do
  local record = ARGV[1] .. id
  local found = redis.call('HMGET', record, 'state', 'message', 'lane')
  redis.call('ZREM', KEYS[1], id)
  if found[1] == 'queued' and found[2] then
    redis.call('HDEL', record, 'message', 'lane')
    redis.call('RPUSH', found[3], found[2])
    redis.call('ZADD', KEYS[2], text(now), id)
    published = published + 1
  end
end
return {published, redis.call('HLEN', KEYS[3])}
"""
)

REPUBLISH: Final = (
    GOES_ON
    + CLOCK
    + """
-- KEYS record, queue, queued, running; ARGV id, events channel, message, silent for (ms)
-- publishes the message of a job again that waits or runs and gave no sign of life for so long; returns 1 if it did
local state = redis.call('HGET', KEYS[1], 'state')
local index = state == 'running' and KEYS[4] or KEYS[3]
local seen = redis.call('ZSCORE', index, ARGV[1])
if not state or final(state) then
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('ZREM', KEYS[4], ARGV[1])
  return 0
end
if not seen or tonumber(seen) > now - tonumber(ARGV[4]) then return 0 end
redis.call('HSET', KEYS[1], 'state', 'queued')
redis.call('HDEL', KEYS[1], 'progress')
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZADD', KEYS[3], text(now), ARGV[1])
-- in front: it had its turn already
redis.call('RPUSH', KEYS[2], ARGV[3])
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' queued')
return 1
"""
)

REPLAY: Final = (
    ADDS
    + CLOCK
    + """
-- KEYS record, queue, queued, dead; ARGV id, events channel, message, record's life (ms), job
-- queues a dead letter again under its id; returns 1, or 0 if it is none
if redis.call('ZREM', KEYS[4], ARGV[1]) == 0 then return 0 end
local outcome = redis.call('HGET', KEYS[1], 'outcome')
if not outcome then return 0 end
local history = redis.call('HGET', KEYS[1], 'history')
history = history and (string.sub(history, 1, -2) .. ',' .. outcome .. ']') or ('[' .. outcome .. ']')
redis.call('HSET', KEYS[1], 'state', 'queued', 'queued_at', text(now), 'history', history,
  'job', ARGV[5])
redis.call('HDEL', KEYS[1], 'step', 'outcome', 'finished_at', 'deliveries', 'attempts', 'queue_wait_ms', 'error',
  'cancel', 'retries')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('ZADD', KEYS[3], text(now), ARGV[1])
redis.call('LPUSH', KEYS[2], ARGV[3])
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' queued')
return 1
"""
)
