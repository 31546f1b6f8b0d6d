-- now: the time by Redis's clock, in milliseconds since 1970. No machine's own clock counts.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
