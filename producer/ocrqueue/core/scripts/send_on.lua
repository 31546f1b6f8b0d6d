#!lua flags=allow-oom
-- uses: clock, as_text, is_final, is_holder, count
--
-- Sends a job on to the next engine of its route. From then on, deliveries of the turn before are dropped.
--
-- KEYS  record, queue, queued, running, delayed; of the engine before: ended, pages (its counts of late)
-- ARGV  job: its JSON, as it goes to the next engine
--       message: what goes into the queue
--       details, as JSON: id; channel of its events; life_ms of the record; step (how many engines have had their
--       turn); holder (worker, attempt; 0: any of the worker's), left out where it does not matter who has the job;
--       pages (how many the engine before has read); period_ms and kept_periods of the counts
--
-- Returns 'sent'; 'ended' if the job has ended; 'elsewhere' if another attempt has it or it was sent on already;
-- 'cancelled' if it was asked to stop.
local record, queue, queued, running, delayed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ended, pages = KEYS[6], KEYS[7]
local job, message = ARGV[1], ARGV[2]
local details = cjson.decode(ARGV[3])
local id, holder, step = details.id, details.holder, details.step

local state, worker, attempt, cancel, earlier_step =
  unpack(redis.call('HMGET', record, 'state', 'worker', 'attempts', 'cancel', 'step'))
if state and is_final(state) then return 'ended' end
if state and holder and (state ~= 'running' or not is_holder(holder, worker, attempt)) then return 'elsewhere' end
if tonumber(earlier_step or 0) > step then return 'elsewhere' end
-- the second delivery of a job that was sent by name: it is on its route already
if step == 0 and (earlier_step or attempt) then return 'elsewhere' end
if cancel then return 'cancelled' end

if not state then
  redis.call('HSET', record, 'queued_at', as_text(now))
  redis.call('PEXPIRE', record, as_text(details.life_ms))
end
redis.call('HSET', record, 'state', 'queued', 'job', job, 'step', as_text(step))
redis.call('HDEL', record, 'deliveries', 'delivery', 'progress', 'error', 'retries', 'message', 'lane')
redis.call('ZREM', running, id)
redis.call('ZREM', delayed, id)
redis.call('ZADD', queued, as_text(now), id)
-- in front: the job had its turn already, and what was begun is to be ended
redis.call('RPUSH', queue, message)
if step > 0 then
  count(ended, 1, details.period_ms, details.kept_periods)
  count(pages, details.pages, details.period_ms, details.kept_periods)
end
redis.call('PUBLISH', details.channel, id .. ' queued')
return 'sent'
