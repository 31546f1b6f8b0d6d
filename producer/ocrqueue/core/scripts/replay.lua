#!lua
-- uses: clock, as_text
--
-- Queues a dead letter again under its id. How it ended goes into its history.
--
-- KEYS  record, queue, queued, dead
-- ARGV  id, channel of its events, message, life_ms of the record, job (its JSON)
--
-- Returns 1, or 0 if the job is no dead letter.
local record, queue, queued, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, channel, message, life_ms, job = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

if redis.call('ZREM', dead, id) == 0 then return 0 end
local outcome, history = unpack(redis.call('HMGET', record, 'outcome', 'history'))
if not outcome then return 0 end

-- texts are joined: what cjson decodes and encodes again is not the same
history = history and (string.sub(history, 1, -2) .. ',' .. outcome .. ']') or ('[' .. outcome .. ']')
redis.call('HSET', record, 'state', 'queued', 'queued_at', as_text(now), 'history', history, 'job', job)
redis.call('HDEL', record, 'step', 'outcome', 'finished_at', 'deliveries', 'attempts', 'queue_wait_ms', 'error',
  'cancel', 'retries')
redis.call('PEXPIRE', record, life_ms)
redis.call('ZADD', queued, as_text(now), id)
redis.call('LPUSH', queue, message)
redis.call('PUBLISH', channel, id .. ' queued')
return 1
