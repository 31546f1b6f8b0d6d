"""What brings messages from Redis's lists to RabbitMQ: none is lost on the way, and one may get there twice."""

from __future__ import annotations

from typing import Final

from ocrqueue.core.scripts.parts import CLOCK, GOES_ON

TAKE_OUT: Final = (
    GOES_ON
    + CLOCK
    + """
-- KEYS forwarding, queues; ARGV how many at most, after how long (ms) one that was taken is taken for left behind
-- returns {queue, message, ...}, those of a queue in their order
local before = text(now - tonumber(ARGV[2]))
for _, taken in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[1], before, '-inf', 'LIMIT', 0, ARGV[1])) do
  local queue, message = string.match(taken, '^([^\\n]*)\\n(.*)$')
  redis.call('ZREM', KEYS[1], taken)
  redis.call('RPUSH', queue, message)
end
local found = {}
for number = 2, #KEYS do
  while #found < 2 * tonumber(ARGV[1]) do
    local message = redis.call('RPOP', KEYS[number])
    if not message then break end
    redis.call('ZADD', KEYS[1], text(now), KEYS[number] .. '\\n' .. message)
    found[#found + 1] = KEYS[number]
    found[#found + 1] = message
  end
end
return found
"""
)

FORWARDED: Final = (
    GOES_ON
    + """
-- KEYS forwarding, messages in RabbitMQ; ARGV queue, message, ...
-- they are there
for number = 1, #ARGV, 2 do
  if redis.call('ZREM', KEYS[1], ARGV[number] .. '\\n' .. ARGV[number + 1]) == 1 then
    redis.call('HINCRBY', KEYS[2], ARGV[number], 1)
  end
end
return 0
"""
)

PUT_BACK: Final = (
    GOES_ON
    + """
-- KEYS forwarding; ARGV queue, message, ...
-- back in front of their lists, in their order
for number = #ARGV - 1, 1, -2 do
  if redis.call('ZREM', KEYS[1], ARGV[number] .. '\\n' .. ARGV[number + 1]) == 1 then
    redis.call('RPUSH', ARGV[number], ARGV[number + 1])
  end
end
return 0
"""
)
