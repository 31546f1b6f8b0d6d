#!lua flags=allow-oom
-- Strikes off a message that was taken. Unless that was done before, what is given goes back in front of its queues.
--
-- KEYS  index: tags by time; messages: by tag
-- ARGV  tag
--       pushed, as JSON: a list of {key of a queue, message (a text)}
--
-- Returns 1, or 0 if the message had been struck off.
local index, messages = KEYS[1], KEYS[2]
local tag, pushed = ARGV[1], cjson.decode(ARGV[2])

redis.call('ZREM', index, tag)
if redis.call('HDEL', messages, tag) == 0 then return 0 end
for _, entry in ipairs(pushed) do
  local queue, message = unpack(entry)
  redis.call('RPUSH', queue, message)
end
return 1
