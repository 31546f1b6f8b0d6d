#!lua flags=allow-oom
-- Notes that a message was taken and is not yet acknowledged.
--
-- KEYS  index: tags by the time they were taken, in seconds by Redis's clock; messages: by tag
-- ARGV  tag, message
local index, messages = KEYS[1], KEYS[2]
local tag, message = ARGV[1], ARGV[2]

redis.call('ZADD', index, redis.call('TIME')[1], tag)
redis.call('HSET', messages, tag, message)
