#!lua flags=allow-oom
-- uses: clock, as_text, is_final, is_holder
--
-- Lets a job have another attempt, after a pause if there is one. Its last attempt has ended in order.
--
-- KEYS  record, queue, queued, running, delayed
-- ARGV  job: its JSON
--       message: what goes into the queue; '' if a message is back there already
--       error: the JSON of the error that the next attempt is for
--       details, as JSON: id; channel of its events; life_ms of the record; holder (worker, attempt; 0: any of the
--       worker's); pause_ms (0: none)
--
-- Returns 'released'; 'ended' if the job has ended; 'elsewhere' if another attempt has it.
local record, queue, queued, running, delayed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local job, message, error_json = ARGV[1], ARGV[2], ARGV[3]
local details = cjson.decode(ARGV[4])
local id, holder, pause_ms = details.id, details.holder, details.pause_ms

local state, worker, attempt = unpack(redis.call('HMGET', record, 'state', 'worker', 'attempts'))
if state and is_final(state) then return 'ended' end
if state == 'running' then
  if not is_holder(holder, worker, attempt) then return 'elsewhere' end
elseif state and (holder.attempt ~= 0 or redis.call('ZSCORE', delayed, id)) then
  -- it is back in its queue, or in the pause before another attempt
  return 'elsewhere'
elseif not state then
  redis.call('HSET', record, 'job', job, 'queued_at', as_text(now))
  redis.call('PEXPIRE', record, as_text(details.life_ms))
end

redis.call('HSET', record, 'state', 'queued', 'error', error_json)
redis.call('HDEL', record, 'deliveries', 'progress')
redis.call('ZREM', running, id)
if pause_ms == 0 then
  redis.call('ZADD', queued, as_text(now), id)
  -- in front: the job had its turn already
  if message ~= '' then redis.call('RPUSH', queue, message) end
else
  redis.call('HINCRBY', record, 'retries', 1)
  redis.call('HSET', record, 'message', message, 'lane', queue)
  redis.call('ZREM', queued, id)
  redis.call('ZADD', delayed, as_text(now + pause_ms), id)
end
redis.call('PUBLISH', details.channel, id .. ' queued')
return 'released'
