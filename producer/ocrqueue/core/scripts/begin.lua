#!lua flags=allow-oom
-- uses: clock, as_text, is_final, count_kind
--
-- Counts a delivery of a job, and says what the worker is to do with it. A job that was sent by name gets its record.
--
-- KEYS  record, queued, running, delayed, queue; waits: the engine's counts of late, by how long jobs waited
-- ARGV  job: its JSON
--       message: one of its own, if the job came in a group; else ''
--       details, as JSON: id; channel of its events; life_ms of the record; worker; delivery (a name of this
--       delivery's own, the same when the question is repeated); delivery_cap; lost_after_ms (a worker that is silent
--       for so long is lost); step (how many engines of its route have had their turn); has_route; wants_summary;
--       period_ms and kept_periods of the counts
--
-- Returns {verdict, number, how long the job waited in ms, how many attempts were retries}. The verdicts:
--   run         the number is that of the attempt
--   poison      there were too many deliveries, and the number is how many before this
--   finished    the job has ended
--   cancelled   it was asked to stop
--   elsewhere   another worker has it, it waits for its next attempt, or this engine's turn is over
--   alone       it was begun before and is not to run in a group: it is back in its queue, and not counted
local record, queued, running, delayed, queue, waits = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local job, message = ARGV[1], ARGV[2]
local details = cjson.decode(ARGV[3])
local id, channel = details.id, details.channel

local state = redis.call('HGET', record, 'state')
if not state then
  redis.call('HSET', record, 'state', 'queued', 'job', job, 'queued_at', as_text(now))
  redis.call('PEXPIRE', record, as_text(details.life_ms))
elseif is_final(state) then
  return {'finished', 0, 0, 0}
end
if tonumber(redis.call('HGET', record, 'step') or 0) > details.step then return {'elsewhere', 0, 0, 0} end

local function run()
  local attempt, wait, retries = unpack(redis.call('HMGET', record, 'attempts', 'queue_wait_ms', 'retries'))
  return {'run', tonumber(attempt), tonumber(wait), tonumber(retries or 0)}
end
if state == 'running' and redis.call('HGET', record, 'delivery') == details.delivery then return run() end

local seen = state == 'running' and redis.call('ZSCORE', running, id)
local due = redis.call('ZSCORE', delayed, id)
if (seen and tonumber(seen) > now - details.lost_after_ms) or (due and tonumber(due) > now) then
  return {'elsewhere', 0, 0, 0}
end

if details.wants_summary then redis.call('HSET', record, 'summary', '1') end
-- a job that was sent by name has no route in its record yet
if details.has_route then redis.call('HSET', record, 'job', job) end
redis.call('ZREM', queued, id)
redis.call('ZREM', delayed, id)
local wait = now - tonumber(redis.call('HGET', record, 'queued_at'))
if redis.call('HEXISTS', record, 'cancel') == 1 then return {'cancelled', 0, wait, 0} end

if message ~= '' and redis.call('HEXISTS', record, 'attempts') == 1 then
  -- what it met with before may be its own doing, and its neighbours are not to meet it twice
  redis.call('HSET', record, 'state', 'queued')
  redis.call('HDEL', record, 'progress', 'message', 'lane')
  redis.call('ZREM', running, id)
  redis.call('ZADD', queued, as_text(now), id)
  redis.call('RPUSH', queue, message)
  redis.call('PUBLISH', channel, id .. ' queued')
  return {'alone', 0, wait, 0}
end

local deliveries = redis.call('HINCRBY', record, 'deliveries', 1)
if deliveries > details.delivery_cap then return {'poison', deliveries - 1, wait, 0} end
if redis.call('HINCRBY', record, 'attempts', 1) == 1 then
  -- two buckets for each doubling; `ocrqueue.core.recent_counts` reads them
  local bucket = math.floor(2 * math.log(math.max(wait, 1)) / math.log(2))
  count_kind(waits, as_text(bucket), details.period_ms, details.kept_periods)
end
redis.call('HSETNX', record, 'queue_wait_ms', as_text(wait))
redis.call('HSET', record, 'state', 'running', 'started_at', as_text(now), 'worker', details.worker,
  'delivery', details.delivery)
redis.call('HDEL', record, 'progress', 'error', 'message', 'lane')
redis.call('ZADD', running, as_text(now), id)
redis.call('PUBLISH', channel, id .. ' running')
return run()
