#!lua flags=allow-oom
-- uses: clock, as_text
--
-- Notes that the process is gone in which the worker ran the job. Its message is back in the queue.
--
-- KEYS  record, queued, running
-- ARGV  id, channel of its events, worker
--
-- Returns 1, or 0 if the worker does not run the job.
local record, queued, running = KEYS[1], KEYS[2], KEYS[3]
local id, channel, worker = ARGV[1], ARGV[2], ARGV[3]

local state, running_on = unpack(redis.call('HMGET', record, 'state', 'worker'))
if state ~= 'running' or running_on ~= worker then return 0 end

redis.call('HSET', record, 'state', 'queued')
redis.call('HDEL', record, 'progress')
redis.call('ZREM', running, id)
redis.call('ZADD', queued, as_text(now), id)
redis.call('PUBLISH', channel, id .. ' queued')
return 1
