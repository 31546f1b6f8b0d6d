#!lua flags=allow-oom
-- uses: clock, as_text, is_final
--
-- Publishes the message of a job again that waits or runs, and gave no sign of life for silent_ms.
--
-- KEYS  record, queue, queued, running
-- ARGV  id, channel of its events, message, silent_ms
--
-- Returns 1, or 0 if there was no need.
local record, queue, queued, running = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, channel, message, silent_ms = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local state = redis.call('HGET', record, 'state')
local seen = redis.call('ZSCORE', state == 'running' and running or queued, id)
if not state or is_final(state) then
  redis.call('ZREM', queued, id)
  redis.call('ZREM', running, id)
  return 0
end
if not seen or tonumber(seen) > now - silent_ms then return 0 end

redis.call('HSET', record, 'state', 'queued')
redis.call('HDEL', record, 'progress')
redis.call('ZREM', running, id)
redis.call('ZADD', queued, as_text(now), id)
-- in front: the job had its turn already
redis.call('RPUSH', queue, message)
redis.call('PUBLISH', channel, id .. ' queued')
return 1
