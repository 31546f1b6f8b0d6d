-- What happens, counted by periods of 10 s for 5 minutes, and by minutes for a day. Needs root, clock, as_text.
local period_ms, kept_periods = 10000, 30

local function forget_old_periods(key, period)
  local counted = redis.call('HGETALL', key)
  for field = 1, #counted, 2 do
    if tonumber(string.match(counted[field], '^%d+')) <= period - kept_periods then
      redis.call('HDEL', key, counted[field])
    end
  end
end

-- `kind` may be nil
local function count_lately(key, amount, kind)
  if amount == 0 then return end
  local period = math.floor(now / period_ms)
  local field = as_text(period) .. (kind and ':' .. kind or '')
  if redis.call('HINCRBY', key, field, as_text(amount)) == amount then
    forget_old_periods(key, period)
    -- from the first count of a period, which may be one period before its last
    redis.call('PEXPIRE', key, as_text((kept_periods + 1) * period_ms))
  end
end

local function count_in_minute(engine, what, amount)
  if amount == 0 then return end
  local key = root .. 'minute:' .. as_text(math.floor(now / 60000))
  if redis.call('HINCRBY', key, engine .. ':' .. what, as_text(amount)) == amount then
    redis.call('PEXPIRE', key, '90000000')
  end
end

local function count_pages(engine, pages)
  count_lately(root .. 'pages:' .. engine, pages)
  count_in_minute(engine, 'pages', pages)
end

-- Two buckets for each doubling; ocrqueue.core.recent_counts reads them.
local function count_wait(engine, wait_ms)
  local bucket = math.floor(2 * math.log(math.max(wait_ms, 1)) / math.log(2))
  count_lately(root .. 'waits:' .. engine, 1, as_text(bucket))
end
