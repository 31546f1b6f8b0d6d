-- Adds an amount to the counts at key. They are kept by periods of period_ms, and only the newest kept_periods of them.
-- It needs clock and as_text.
local function count(key, amount, period_ms, kept_periods)
  if amount == 0 then return end
  local period = math.floor(now / period_ms)
  if redis.call('HINCRBY', key, as_text(period), as_text(amount)) == amount then
    -- the period's first count: it is time to remove old ones
    local counts = redis.call('HGETALL', key)
    for field = 1, #counts, 2 do
      if tonumber(counts[field]) <= period - kept_periods then redis.call('HDEL', key, counts[field]) end
    end
  end
  redis.call('PEXPIRE', key, as_text(kept_periods * period_ms))
end
