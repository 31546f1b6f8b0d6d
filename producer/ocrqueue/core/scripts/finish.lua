#!lua flags=allow-oom
-- uses: clock, as_text, is_final, is_holder, count, count_kind
--
-- Ends a job, unless it has ended.
--
-- KEYS  record, queued, running, delayed, dead; of the engine: ended, pages, errors (its counts of late)
-- ARGV  job: its JSON
--       outcome: its JSON
--       details, as JSON: id; channel of its events; state; life_ms of the record; dead (whether it is a dead letter);
--       holder (worker, attempt; 0: any of the worker's), left out where it does not matter who has the job;
--       pages (how many were read); error_code of a job that failed; period_ms and kept_periods of the counts
--
-- Returns the state in which the job has ended: an earlier end stands. 'elsewhere' if another attempt has the job.
local record, queued, running, delayed, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ended, pages, errors = KEYS[6], KEYS[7], KEYS[8]
local job, outcome = ARGV[1], ARGV[2]
local details = cjson.decode(ARGV[3])
local id, holder = details.id, details.holder

local state, worker, attempt = unpack(redis.call('HMGET', record, 'state', 'worker', 'attempts'))
if state and is_final(state) then return state end
if state and holder and (state ~= 'running' or not is_holder(holder, worker, attempt)) then return 'elsewhere' end

if not state then redis.call('HSET', record, 'job', job, 'queued_at', as_text(now)) end
redis.call('HSET', record, 'state', details.state, 'outcome', outcome, 'finished_at', as_text(now))
redis.call('HDEL', record, 'progress', 'cancel', 'deliveries', 'delivery', 'error', 'retries', 'message', 'lane')
redis.call('PEXPIRE', record, as_text(details.life_ms))
redis.call('ZREM', queued, id)
redis.call('ZREM', running, id)
redis.call('ZREM', delayed, id)
if details.dead then redis.call('ZADD', dead, as_text(now), id) end
count(ended, 1, details.period_ms, details.kept_periods)
count(pages, details.pages, details.period_ms, details.kept_periods)
if details.error_code then count_kind(errors, details.error_code, details.period_ms, details.kept_periods) end
redis.call('PUBLISH', details.channel, id .. ' ' .. details.state)
return details.state
