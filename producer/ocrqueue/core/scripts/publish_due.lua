#!lua flags=allow-oom
-- uses: clock, as_text
--
-- Puts jobs back into their queues whose pause is over.
--
-- KEYS  delayed, queued, workers
-- ARGV  record_prefix: what stands before an id in a record's key
--       limit: how many jobs at most
--
-- Returns {how many jobs it put back, how many workers have announced themselves}.
local delayed, queued, workers = KEYS[1], KEYS[2], KEYS[3]
local record_prefix, limit = ARGV[1], ARGV[2]

local published = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', delayed, '-inf', as_text(now), 'LIMIT', 0, limit)) do
  local record = record_prefix .. id
  local state, message, queue = unpack(redis.call('HMGET', record, 'state', 'message', 'lane'))
  redis.call('ZREM', delayed, id)
  if state == 'queued' and message then
    redis.call('HDEL', record, 'message', 'lane')
    -- in front: the job had its turn already
    redis.call('RPUSH', queue, message)
    redis.call('ZADD', queued, as_text(now), id)
    published = published + 1
  end
end
return {published, redis.call('HLEN', workers)}
