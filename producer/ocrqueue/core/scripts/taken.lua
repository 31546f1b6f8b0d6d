#!lua flags=allow-oom
-- uses: as_text
--
-- Notes that a group was taken from its queue: its jobs no longer wait there.
--
-- KEYS  grouped: what the queue's groups hold
-- ARGV  group: its id
local grouped = KEYS[1]
local group = ARGV[1]

local jobs = redis.call('HGET', grouped, group)
if jobs then
  redis.call('HDEL', grouped, group)
  redis.call('HINCRBY', grouped, 'total', as_text(-tonumber(jobs)))
end
return 0
