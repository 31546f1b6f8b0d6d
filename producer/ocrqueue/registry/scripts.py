"""The transitions of a record, as Lua scripts: each is one atomic step, by Redis's own clock.

A state once final is never left: `finish` and `cancel` look before they write.
"""

from __future__ import annotations

from typing import Final

_CLOCK: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end
local function final(state)
  return state == 'succeeded' or state == 'partial' or state == 'failed' or state == 'cancelled'
end
"""

SUBMIT: Final = (
    _CLOCK
    + """
-- KEYS record, queue, queued, idempotency key if there is one
-- ARGV id, job, record's life (ms), idempotency key's life (ms), message, what stands before an id in a record's key
-- returns the id of the job that now stands for this submission
if KEYS[4] then
  local earlier = redis.call('GET', KEYS[4])
  if earlier and redis.call('EXISTS', ARGV[6] .. earlier) == 1 then return earlier end
end
if redis.call('EXISTS', KEYS[1]) == 1 then return ARGV[1] end
if KEYS[4] then redis.call('SET', KEYS[4], ARGV[1], 'PX', ARGV[4]) end
redis.call('HSET', KEYS[1], 'state', 'queued', 'job', ARGV[2], 'queued_at', text(now))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('LPUSH', KEYS[2], ARGV[5])
redis.call('ZADD', KEYS[3], text(now), ARGV[1])
return ARGV[1]
"""
)

BEGIN: Final = (
    _CLOCK
    + """
-- KEYS record, queued, running
-- ARGV job, record's life (ms), worker, delivery cap, id, events channel
-- returns {verdict, number}: run + attempt, finished + 0, cancelled + 0, poison + deliveries; and the queue wait (ms)
local state = redis.call('HGET', KEYS[1], 'state')
if not state then
  redis.call('HSET', KEYS[1], 'state', 'queued', 'job', ARGV[1], 'queued_at', text(now))
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
elseif final(state) then
  return {'finished', 0, 0}
end
redis.call('ZREM', KEYS[2], ARGV[5])
local wait = now - tonumber(redis.call('HGET', KEYS[1], 'queued_at'))
if redis.call('HEXISTS', KEYS[1], 'cancel') == 1 then return {'cancelled', 0, wait} end
local deliveries = redis.call('HINCRBY', KEYS[1], 'deliveries', 1)
if deliveries > tonumber(ARGV[4]) then return {'poison', deliveries - 1, wait} end
local attempt = redis.call('HINCRBY', KEYS[1], 'attempts', 1)
redis.call('HSETNX', KEYS[1], 'queue_wait_ms', text(wait))
redis.call('HSET', KEYS[1], 'state', 'running', 'started_at', text(now), 'worker', ARGV[3])
redis.call('HDEL', KEYS[1], 'progress', 'error')
redis.call('ZADD', KEYS[3], text(now), ARGV[5])
redis.call('PUBLISH', ARGV[6], ARGV[5] .. ' running')
return {'run', attempt, tonumber(redis.call('HGET', KEYS[1], 'queue_wait_ms'))}
"""
)

PROGRESS: Final = (
    _CLOCK
    + """
-- KEYS record, running; ARGV id, events channel, pages done, pages
-- returns 1 if the job should stop: it was asked to, or has ended elsewhere; else 0
local state = redis.call('HGET', KEYS[1], 'state')
if state and final(state) then return 1 end
-- taken for lost and queued again, the job is worked on all the same: whoever ends it first ends it
if state ~= 'running' then return 0 end
local progress = ARGV[3] .. '/' .. ARGV[4]
redis.call('HSET', KEYS[1], 'progress', progress)
redis.call('ZADD', KEYS[2], 'XX', text(now), ARGV[1])
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' running ' .. progress)
return redis.call('HEXISTS', KEYS[1], 'cancel')
"""
)

HEARTBEAT: Final = (
    _CLOCK
    + """
-- KEYS running; ARGV ids of the jobs at a worker
for _, id in ipairs(ARGV) do redis.call('ZADD', KEYS[1], 'XX', text(now), id) end
return #ARGV
"""
)

RELEASE: Final = (
    _CLOCK
    + """
-- KEYS record, queued, running; ARGV id, events channel, error
-- the attempt ended in order and the job waits for another; returns 1, or 0 if the job had ended
local state = redis.call('HGET', KEYS[1], 'state')
if not state or final(state) then return 0 end
redis.call('HSET', KEYS[1], 'state', 'queued', 'error', ARGV[3])
redis.call('HDEL', KEYS[1], 'deliveries', 'progress')
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZADD', KEYS[2], text(now), ARGV[1])
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' queued')
return 1
"""
)

FINISH: Final = (
    _CLOCK
    + """
-- KEYS record, queued, running, dead
-- ARGV id, events channel, state, outcome, record's life (ms), job, dead letter (1 or 0)
-- returns the state in which the job has ended: an earlier end stands
local state = redis.call('HGET', KEYS[1], 'state')
if state and final(state) then return state end
if not state then redis.call('HSET', KEYS[1], 'job', ARGV[6], 'queued_at', text(now)) end
redis.call('HSET', KEYS[1], 'state', ARGV[3], 'outcome', ARGV[4], 'finished_at', text(now))
redis.call('HDEL', KEYS[1], 'progress', 'cancel', 'deliveries', 'error')
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
if ARGV[7] == '1' then redis.call('ZADD', KEYS[4], text(now), ARGV[1]) end
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' ' .. ARGV[3])
return ARGV[3]
"""
)

CANCEL: Final = (
    _CLOCK
    + """
-- KEYS record, queued; ARGV id, events channel, outcome, record's life (ms)
-- returns the record's state after it; false for no record
local state = redis.call('HGET', KEYS[1], 'state')
if not state or final(state) then return state end
if state == 'running' then
  redis.call('HSET', KEYS[1], 'cancel', '1')
  return state
end
redis.call('HSET', KEYS[1], 'state', 'cancelled', 'outcome', ARGV[3], 'finished_at', text(now))
redis.call('HDEL', KEYS[1], 'deliveries', 'error')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' cancelled')
return 'cancelled'
"""
)

REPUBLISH: Final = (
    _CLOCK
    + """
-- KEYS record, queue, queued, running; ARGV id, events channel, message, silent for (ms)
-- publishes the message of a job again that waits or runs and gave no sign of life for so long; returns 1 if it did
local state = redis.call('HGET', KEYS[1], 'state')
local index = state == 'running' and KEYS[4] or KEYS[3]
local seen = redis.call('ZSCORE', index, ARGV[1])
if not state or final(state) then
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('ZREM', KEYS[4], ARGV[1])
  return 0
end
if not seen or tonumber(seen) > now - tonumber(ARGV[4]) then return 0 end
redis.call('HSET', KEYS[1], 'state', 'queued')
redis.call('HDEL', KEYS[1], 'progress')
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZADD', KEYS[3], text(now), ARGV[1])
redis.call('LPUSH', KEYS[2], ARGV[3])
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' queued')
return 1
"""
)

REPLAY: Final = (
    _CLOCK
    + """
-- KEYS record, queue, queued, dead; ARGV id, events channel, message, record's life (ms)
-- queues a dead letter again under its id; returns 1, or 0 if it is none
if redis.call('ZREM', KEYS[4], ARGV[1]) == 0 then return 0 end
local outcome = redis.call('HGET', KEYS[1], 'outcome')
if not outcome then return 0 end
local history = redis.call('HGET', KEYS[1], 'history')
history = history and (string.sub(history, 1, -2) .. ',' .. outcome .. ']') or ('[' .. outcome .. ']')
redis.call('HSET', KEYS[1], 'state', 'queued', 'queued_at', text(now), 'history', history)
redis.call('HDEL', KEYS[1], 'outcome', 'finished_at', 'deliveries', 'attempts', 'queue_wait_ms', 'error', 'cancel')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('ZADD', KEYS[3], text(now), ARGV[1])
redis.call('LPUSH', KEYS[2], ARGV[3])
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' queued')
return 1
"""
)
