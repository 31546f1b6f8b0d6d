"""What ends a job."""

from __future__ import annotations

from typing import Final

from ocrqueue.core.scripts.parts import CLOCK, COUNT, COUNT_KIND, GOES_ON

FINISH: Final = (
    GOES_ON
    + CLOCK
    + COUNT
    + COUNT_KIND
    + """
-- KEYS record, queued, running, dead, delayed, jobs ended lately, pages read lately, jobs failed lately
-- ARGV id, events channel, state, outcome, record's life (ms), job, dead letter (1 or 0),
--   worker and attempt, '' and 0 where the end holds whoever has the job; period (ms), how many periods are kept,
--   pages that were read, code of the error of a job that failed, else ''
-- returns the state in which the job has ended: an earlier end stands; 'elsewhere' if another attempt has the job
local found = redis.call('HMGET', KEYS[1], 'state', 'worker', 'attempts')
local state = found[1]
if state and final(state) then return state end
if state and ARGV[8] ~= '' and
    (state ~= 'running' or found[2] ~= ARGV[8] or (ARGV[9] ~= '0' and found[3] ~= ARGV[9])) then
  return 'elsewhere'
end
if not state then redis.call('HSET', KEYS[1], 'job', ARGV[6], 'queued_at', text(now)) end
redis.call('HSET', KEYS[1], 'state', ARGV[3], 'outcome', ARGV[4], 'finished_at', text(now))
redis.call('HDEL', KEYS[1], 'progress', 'cancel', 'deliveries', 'delivery', 'error', 'retries', 'message', 'lane')
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
if ARGV[7] == '1' then redis.call('ZADD', KEYS[4], text(now), ARGV[1]) end
count(KEYS[6], 1, tonumber(ARGV[10]), tonumber(ARGV[11]))
count(KEYS[7], tonumber(ARGV[12]), tonumber(ARGV[10]), tonumber(ARGV[11]))
if ARGV[13] ~= '' then count_kind(KEYS[8], ARGV[13], tonumber(ARGV[10]), tonumber(ARGV[11])) end
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' ' .. ARGV[3])
return ARGV[3]
"""
)

CANCEL: Final = (
    GOES_ON
    + CLOCK
    + """
-- KEYS record, queued, delayed; ARGV id, events channel, outcome, record's life (ms)
-- returns the record's state after it; false for no record
local state = redis.call('HGET', KEYS[1], 'state')
if not state or final(state) then return state end
if state == 'running' then
  redis.call('HSET', KEYS[1], 'cancel', '1')
  return state
end
redis.call('HSET', KEYS[1], 'state', 'cancelled', 'outcome', ARGV[3], 'finished_at', text(now))
redis.call('HDEL', KEYS[1], 'cancel', 'deliveries', 'error', 'retries', 'message', 'lane')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('PUBLISH', ARGV[2], ARGV[1] .. ' cancelled')
return 'cancelled'
"""
)
