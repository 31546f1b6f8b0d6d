-- Adds one of a kind to the counts at key. They are kept by periods of period_ms and by kinds, and only those of the
-- newest kept_periods. It needs clock and as_text.
local function count_kind(key, kind, period_ms, kept_periods)
  local period = math.floor(now / period_ms)
  if redis.call('HINCRBY', key, as_text(period) .. ':' .. kind, 1) == 1 then
    local counts = redis.call('HGETALL', key)
    for field = 1, #counts, 2 do
      local counted_in = tonumber(string.match(counts[field], '^(%d+):') or 0)
      if counted_in <= period - kept_periods then redis.call('HDEL', key, counts[field]) end
    end
  end
  redis.call('PEXPIRE', key, as_text(kept_periods * period_ms))
end
