"""What scripts have in common: the flags of their first line, and the clock."""

from __future__ import annotations

from typing import Final

ADDS: Final = "#!lua\n"
GOES_ON: Final = "#!lua flags=allow-oom\n"

CLOCK: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end
local function final(state)
  return state == 'succeeded' or state == 'partial' or state == 'failed' or state == 'cancelled'
end
"""

COUNT: Final = """
-- adds to what is counted by periods of so many milliseconds, of which so many are kept
local function count(key, amount, period_ms, kept)
  if amount == 0 then return end
  local period = math.floor(now / period_ms)
  if redis.call('HINCRBY', key, text(period), amount) == amount then
    local counted = redis.call('HGETALL', key)
    for field = 1, #counted, 2 do
      if tonumber(counted[field]) <= period - kept then redis.call('HDEL', key, counted[field]) end
    end
  end
  redis.call('PEXPIRE', key, text(kept * period_ms))
end
"""

COUNT_KIND: Final = """
-- adds one of a kind to what is counted by periods and kinds
local function count_kind(key, kind, period_ms, kept)
  local period = math.floor(now / period_ms)
  if redis.call('HINCRBY', key, text(period) .. ':' .. kind, 1) == 1 then
    local counted = redis.call('HGETALL', key)
    for field = 1, #counted, 2 do
      local counted_in = tonumber(string.match(counted[field], '^(%d+):') or 0)
      if counted_in <= period - kept then redis.call('HDEL', key, counted[field]) end
    end
  end
  redis.call('PEXPIRE', key, text(kept * period_ms))
end
"""
