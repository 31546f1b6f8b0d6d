#!lua flags=allow-oom
-- uses: clock, as_text
--
-- Says of the jobs in a worker's hands that it lives: of those that run, and of those that are about to.
--
-- KEYS  running, queued
-- ARGV  ids of the jobs
--
-- Returns how many they are.
local running, queued = KEYS[1], KEYS[2]
local ids = ARGV

for _, id in ipairs(ids) do
  redis.call('ZADD', running, 'XX', as_text(now), id)
  redis.call('ZADD', queued, 'XX', as_text(now), id)
end
return #ids
