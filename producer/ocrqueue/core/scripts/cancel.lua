#!lua flags=allow-oom
-- uses: clock, as_text, is_final
--
-- Cancels a job that waits, and asks one that runs to stop.
--
-- KEYS  record, queued, delayed
-- ARGV  id, channel of its events, outcome (its JSON), life_ms of the record
--
-- Returns the state after it; nil where there is no record.
local record, queued, delayed = KEYS[1], KEYS[2], KEYS[3]
local id, channel, outcome, life_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local state = redis.call('HGET', record, 'state')
if not state or is_final(state) then return state end
if state == 'running' then
  redis.call('HSET', record, 'cancel', '1')
  return state
end

redis.call('HSET', record, 'state', 'cancelled', 'outcome', outcome, 'finished_at', as_text(now))
redis.call('HDEL', record, 'cancel', 'deliveries', 'error', 'retries', 'message', 'lane')
redis.call('PEXPIRE', record, life_ms)
redis.call('ZREM', queued, id)
redis.call('ZREM', delayed, id)
redis.call('PUBLISH', channel, id .. ' cancelled')
return 'cancelled'
