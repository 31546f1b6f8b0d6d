"""What puts a job into its queue: submitted, due again, lost, or back from the dead letters."""

from __future__ import annotations

from typing import Final

from ocrqueue.registry.scripts.parts import ADDS, CLOCK, GOES_ON

SUBMIT: Final = (
    ADDS
    + CLOCK
    + """
-- KEYS queued; of each engine its three lanes and its jobs ended lately; of each job its record, and its idempotency
--   key if it has one
-- ARGV record's life (ms), idempotency key's life (ms), what stands before an id in a record's key, how many engines;
--   of each engine how many jobs may wait (0: any number); of each job id, job, message, number of its engine, number
--   of its lane, 1 if it has an idempotency key
-- submits the jobs in order, up to the first that finds its queue full
-- returns {ids of the jobs that stand for those submitted}, and if one was refused: number of its engine, how many wait
-- there, now (ms), {period, jobs ended in it, ...}
local engines, waiting, ids = tonumber(ARGV[4]), {}, {}
local function lane(engine, number) return KEYS[4 * engine - 3 + number] end
for engine = 1, engines do
  waiting[engine] = redis.call('LLEN', lane(engine, 1)) + redis.call('LLEN', lane(engine, 2))
    + redis.call('LLEN', lane(engine, 3))
end
local next_key = 4 * engines + 2
for first = engines + 5, #ARGV, 6 do
  local id, engine = ARGV[first], tonumber(ARGV[first + 3])
  local limit = tonumber(ARGV[4 + engine])
  local record, once = KEYS[next_key], ARGV[first + 5] == '1' and KEYS[next_key + 1]
  next_key = next_key + (once and 2 or 1)
  local earlier = once and redis.call('GET', once)
  if earlier and redis.call('EXISTS', ARGV[3] .. earlier) == 1 then
    ids[#ids + 1] = earlier
  else
    if redis.call('EXISTS', record) == 0 then
      if limit > 0 and waiting[engine] >= limit then
        return {ids, engine, waiting[engine], text(now), redis.call('HGETALL', lane(engine, 4))}
      end
      if once then redis.call('SET', once, id, 'PX', ARGV[2]) end
      redis.call('HSET', record, 'state', 'queued', 'job', ARGV[first + 1], 'queued_at', text(now))
      redis.call('PEXPIRE', record, ARGV[1])
      redis.call('LPUSH', lane(engine, tonumber(ARGV[first + 4])), ARGV[first + 2])
      redis.call('ZADD', KEYS[1], text(now), id)
      waiting[engine] = waiting[engine] + 1
    end
    ids[#ids + 1] = id
  end
end
return {ids}
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
elseif state and ARGV[8] ~= '0' then
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

PUBLISH_DUE: Final = (
    GOES_ON
    + CLOCK
    + """
-- KEYS delayed, queued; ARGV what stands before an id in a record's key, how many at most
-- puts the jobs back in their queues whose pause is over; returns how many
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
return published
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
-- KEYS record, queue, queued, dead; ARGV id, events channel, message, record's life (ms)
-- queues a dead letter again under its id; returns 1, or 0 if it is none
if redis.call('ZREM', KEYS[4], ARGV[1]) == 0 then return 0 end
local outcome = redis.call('HGET', KEYS[1], 'outcome')
if not outcome then return 0 end
local history = redis.call('HGET', KEYS[1], 'history')
history = history and (string.sub(history, 1, -2) .. ',' .. outcome .. ']') or ('[' .. outcome .. ']')
redis.call('HSET', KEYS[1], 'state', 'queued', 'queued_at', text(now), 'history', history)
redis.call('HDEL', KEYS[1], 'outcome', 'finished_at', 'deliveries', 'attempts', 'queue_wait_ms', 'error', 'cancel',
  'retries')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('ZADD', KEYS[3], text(now), ARGV[1])
redis.call('LPUSH', KEYS[2], ARGV[3])
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' queued')
return 1
"""
)
