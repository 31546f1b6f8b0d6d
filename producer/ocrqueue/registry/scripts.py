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
-- KEYS record, idempotency key or '', queue
-- ARGV id, job, record's life (ms), idempotency key's life (ms), message, what stands before an id in a record's key
-- returns the id of the job that now stands for this submission
if KEYS[2] ~= '' then
  local earlier = redis.call('GET', KEYS[2])
  if earlier and redis.call('EXISTS', ARGV[6] .. earlier) == 1 then return earlier end
end
if redis.call('EXISTS', KEYS[1]) == 1 then return ARGV[1] end
if KEYS[2] ~= '' then redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[4]) end
redis.call('HSET', KEYS[1], 'state', 'queued', 'job', ARGV[2], 'queued_at', text(now))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('LPUSH', KEYS[3], ARGV[5])
return ARGV[1]
"""
)

BEGIN: Final = (
    _CLOCK
    + """
-- KEYS record
-- ARGV job, record's life (ms), worker, delivery cap, id, events channel
-- returns {verdict, number}: run + attempt, finished + 0, cancelled + 0, poison + deliveries; and the queue wait (ms)
local state = redis.call('HGET', KEYS[1], 'state')
if not state then
  redis.call('HSET', KEYS[1], 'state', 'queued', 'job', ARGV[1], 'queued_at', text(now))
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
elseif final(state) then
  return {'finished', 0, 0}
end
local wait = now - tonumber(redis.call('HGET', KEYS[1], 'queued_at'))
if redis.call('HEXISTS', KEYS[1], 'cancel') == 1 then return {'cancelled', 0, wait} end
local deliveries = redis.call('HINCRBY', KEYS[1], 'deliveries', 1)
if deliveries > tonumber(ARGV[4]) then return {'poison', deliveries - 1, wait} end
local attempt = redis.call('HINCRBY', KEYS[1], 'attempts', 1)
redis.call('HSETNX', KEYS[1], 'queue_wait_ms', text(wait))
redis.call('HSET', KEYS[1], 'state', 'running', 'started_at', text(now), 'worker', ARGV[3])
redis.call('HDEL', KEYS[1], 'progress', 'error')
redis.call('PUBLISH', ARGV[6], ARGV[5] .. ' running')
return {'run', attempt, tonumber(redis.call('HGET', KEYS[1], 'queue_wait_ms'))}
"""
)

PROGRESS: Final = """
-- KEYS record; ARGV id, events channel, pages done, pages
-- returns 1 if the job should stop, else 0
if redis.call('HGET', KEYS[1], 'state') ~= 'running' then return 1 end
local progress = ARGV[3] .. '/' .. ARGV[4]
redis.call('HSET', KEYS[1], 'progress', progress)
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' running ' .. progress)
return redis.call('HEXISTS', KEYS[1], 'cancel')
"""

RELEASE: Final = (
    _CLOCK
    + """
-- KEYS record; ARGV id, events channel, error
-- the attempt ended in order and the job waits for another; returns 1, or 0 if the job had ended
local state = redis.call('HGET', KEYS[1], 'state')
if not state or final(state) then return 0 end
redis.call('HSET', KEYS[1], 'state', 'queued', 'error', ARGV[3])
redis.call('HDEL', KEYS[1], 'deliveries', 'progress')
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' queued')
return 1
"""
)

FINISH: Final = (
    _CLOCK
    + """
-- KEYS record; ARGV id, events channel, state, outcome, record's life (ms), job
-- returns the state in which the job has ended: an earlier end stands
local state = redis.call('HGET', KEYS[1], 'state')
if state and final(state) then return state end
if not state then redis.call('HSET', KEYS[1], 'job', ARGV[6], 'queued_at', text(now)) end
redis.call('HSET', KEYS[1], 'state', ARGV[3], 'outcome', ARGV[4], 'finished_at', text(now))
redis.call('HDEL', KEYS[1], 'progress', 'cancel', 'deliveries', 'error')
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' ' .. ARGV[3])
return ARGV[3]
"""
)

CANCEL: Final = (
    _CLOCK
    + """
-- KEYS record; ARGV id, events channel, outcome, record's life (ms)
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
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' cancelled')
return 'cancelled'
"""
)
