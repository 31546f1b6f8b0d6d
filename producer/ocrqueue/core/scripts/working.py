"""What a worker says of a job that it has."""

from __future__ import annotations

from typing import Final

from ocrqueue.core.scripts.parts import CLOCK, COUNT_KIND, GOES_ON

BEGIN: Final = (
    GOES_ON
    + CLOCK
    + COUNT_KIND
    + """
-- KEYS record, queued, running, delayed, queue, jobs started lately by their wait
-- ARGV job, record's life (ms), worker, delivery cap, id, events channel, summary wanted (1 or 0),
--   silence of the lost (ms), delivery: a name of its own, the same when the question is repeated, message of its own
--   for a job that came in a group, else ''; how many engines of its route have had their turn, 1 if it has a route,
--   period (ms), how many periods are kept
-- returns {verdict, number, queue wait (ms), retries}: run + attempt, poison + deliveries, and finished, cancelled,
-- elsewhere, alone + 0
local state = redis.call('HGET', KEYS[1], 'state')
if not state then
  redis.call('HSET', KEYS[1], 'state', 'queued', 'job', ARGV[1], 'queued_at', text(now))
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
elseif final(state) then
  return {'finished', 0, 0, 0}
end
if tonumber(redis.call('HGET', KEYS[1], 'step') or 0) > tonumber(ARGV[11]) then
  -- of an engine's turn that is over
  return {'elsewhere', 0, 0, 0}
end
-- a second delivery of what a living worker has, or of what waits for its next attempt
local function run()
  local recorded = redis.call('HMGET', KEYS[1], 'attempts', 'queue_wait_ms', 'retries')
  return {'run', tonumber(recorded[1]), tonumber(recorded[2]), tonumber(recorded[3] or 0)}
end
if state == 'running' and redis.call('HGET', KEYS[1], 'delivery') == ARGV[9] then return run() end
local seen = state == 'running' and redis.call('ZSCORE', KEYS[3], ARGV[5])
local due = redis.call('ZSCORE', KEYS[4], ARGV[5])
if (seen and tonumber(seen) > now - tonumber(ARGV[8])) or (due and tonumber(due) > now) then
  return {'elsewhere', 0, 0, 0}
end
if ARGV[7] == '1' then redis.call('HSET', KEYS[1], 'summary', '1') end
-- of a job that came by name the record has no route yet
if ARGV[12] == '1' then redis.call('HSET', KEYS[1], 'job', ARGV[1]) end
redis.call('ZREM', KEYS[2], ARGV[5])
redis.call('ZREM', KEYS[4], ARGV[5])
local wait = now - tonumber(redis.call('HGET', KEYS[1], 'queued_at'))
if redis.call('HEXISTS', KEYS[1], 'cancel') == 1 then return {'cancelled', 0, wait, 0} end
if ARGV[10] ~= '' and redis.call('HEXISTS', KEYS[1], 'attempts') == 1 then
  -- what it met with before may be its own doing, and its neighbours are not to meet it twice
  redis.call('HSET', KEYS[1], 'state', 'queued')
  redis.call('HDEL', KEYS[1], 'progress', 'message', 'lane')
  redis.call('ZREM', KEYS[3], ARGV[5])
  redis.call('ZADD', KEYS[2], text(now), ARGV[5])
  redis.call('RPUSH', KEYS[5], ARGV[10])
  redis.call('PUBLISH', ARGV[6], ARGV[5] .. ' queued')
  return {'alone', 0, wait, 0}
end
local deliveries = redis.call('HINCRBY', KEYS[1], 'deliveries', 1)
if deliveries > tonumber(ARGV[4]) then return {'poison', deliveries - 1, wait, 0} end
if redis.call('HINCRBY', KEYS[1], 'attempts', 1) == 1 then
  -- two buckets for each doubling; `ocrqueue.core.recent_counts` reads them
  local bucket = math.floor(2 * math.log(math.max(wait, 1)) / math.log(2))
  count_kind(KEYS[6], text(bucket), tonumber(ARGV[13]), tonumber(ARGV[14]))
end
redis.call('HSETNX', KEYS[1], 'queue_wait_ms', text(wait))
redis.call('HSET', KEYS[1], 'state', 'running', 'started_at', text(now), 'worker', ARGV[3], 'delivery', ARGV[9])
redis.call('HDEL', KEYS[1], 'progress', 'error', 'message', 'lane')
redis.call('ZADD', KEYS[3], text(now), ARGV[5])
redis.call('PUBLISH', ARGV[6], ARGV[5] .. ' running')
return run()
"""
)

PROGRESS: Final = (
    GOES_ON
    + CLOCK
    + """
-- KEYS record, running; ARGV id, events channel, pages done, pages, attempt
-- returns what the attempt is to do: 'go on'; 'stop', since the job was asked to or has ended; 'elsewhere', since a
-- newer attempt has it
local found = redis.call('HMGET', KEYS[1], 'state', 'attempts', 'cancel')
if found[1] and final(found[1]) then return 'stop' end
-- taken for lost and queued again, the job is worked on all the same: whoever ends it first ends it
if found[1] ~= 'running' then return 'go on' end
if found[2] ~= ARGV[5] then return 'elsewhere' end
local progress = ARGV[3] .. '/' .. ARGV[4]
redis.call('HSET', KEYS[1], 'progress', progress)
redis.call('ZADD', KEYS[2], 'XX', text(now), ARGV[1])
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' running ' .. progress)
return found[3] and 'stop' or 'go on'
"""
)

HEARTBEAT: Final = (
    GOES_ON
    + CLOCK
    + """
-- KEYS running, queued; ARGV ids of the jobs in a worker's hands: those that run, and those about to
for _, id in ipairs(ARGV) do
  redis.call('ZADD', KEYS[1], 'XX', text(now), id)
  redis.call('ZADD', KEYS[2], 'XX', text(now), id)
end
return #ARGV
"""
)

ABANDON: Final = (
    GOES_ON
    + CLOCK
    + """
-- KEYS record, queued, running; ARGV id, events channel, worker
-- the process in which the worker ran the job is gone, and its message is back in the queue; returns 1 if so
local found = redis.call('HMGET', KEYS[1], 'state', 'worker')
if found[1] ~= 'running' or found[2] ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], 'state', 'queued')
redis.call('HDEL', KEYS[1], 'progress')
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZADD', KEYS[2], text(now), ARGV[1])
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' queued')
return 1
"""
)
