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
