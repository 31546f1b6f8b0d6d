-- Whether a tenant may have one more job. Needs root, now, as_text, places, month_of, token_bucket, reservations.
local allowances = {}

-- Pages and cost of the days of this month before today, which change no more: summed once a day.
local function used_before_today(tenant)
  local key, today = root .. 'month:' .. tenant, math.floor(now / 86400000)
  local summed = redis.call('HMGET', key, 'day', 'pages', 'cost')
  if summed[1] == as_text(today) then return tonumber(summed[2]), tonumber(summed[3]) end
  local pages, cost = 0, 0
  local _, _, of_month = date_of(now)
  for day = today - of_month + 1, today - 1 do
    local used = redis.call('HMGET', root .. 'usage:' .. as_text(day) .. ':' .. tenant, 'pages', 'cost')
    pages, cost = pages + tonumber(used[1] or 0), cost + tonumber(used[2] or 0)
  end
  redis.call('HSET', key, 'day', as_text(today), 'pages', as_text(pages), 'cost', string.format('%.15g', cost))
  redis.call('PEXPIRE', key, '86400000')
  return pages, cost
end

-- What the tenant has used up, as it is now and after each job that is let in.
local function allowance_of(tenant, limits)
  local found = allowances[tenant]
  if found then return found end
  found = {waiting = 0, jobs = 0, pages = 0, cost = 0}
  if limits.waiting then
    for _, lane in ipairs(known_lanes()) do
      found.waiting = found.waiting + redis.call('ZCARD', queue_key(lane, tenant))
    end
  end
  if limits.pages_a_month or limits.budget_a_month then
    local pages, cost = used_before_today(tenant)
    local today = root .. 'usage:' .. as_text(math.floor(now / 86400000)) .. ':' .. tenant
    local used = redis.call('HMGET', today, 'pages', 'cost')
    local reserved = redis.call('HMGET', reserved_key(tenant), 'jobs', 'cost')
    found.pages = pages + tonumber(used[1] or 0) + tonumber(reserved[1] or 0)
    found.cost = cost + tonumber(used[2] or 0) + tonumber(reserved[2] or 0)
  end
  if limits.rate then
    found.size, found.per_ms = limits.rate.count, limits.rate.count / limits.rate.per_s / 1000
    found.tokens = tokens_in(root .. 'rate:' .. tenant, found.size, found.per_ms)
  end
  allowances[tenant] = found
  return found
end

-- nil, or {the limit that is reached, how much is used, how much may be, when to come back (ms), where that is known}
local function reached_limit(tenant, page_cost)
  local limits = limits_of(tenant)
  if not limits then return nil end
  local has = allowance_of(tenant, limits)
  if limits.waiting and has.waiting >= limits.waiting then
    return {'waiting', as_text(has.waiting), as_text(limits.waiting), ''}
  end
  if limits.pages_a_month and has.pages >= limits.pages_a_month then
    return {'pages_a_month', as_text(has.pages), as_text(limits.pages_a_month), ''}
  end
  -- of sums of cents that no binary number holds exactly
  if limits.budget_a_month and page_cost and has.cost + page_cost > limits.budget_a_month + 1e-9 then
    return {'budget_a_month', string.format('%.15g', has.cost), string.format('%.15g', limits.budget_a_month), ''}
  end
  if limits.rate and has.tokens < 1 then
    return {'rate', as_text(limits.rate.count), as_text(limits.rate.count),
      as_text(wait_for_token(has.tokens, has.per_ms))}
  end
  return nil
end

-- A job is let in.
local function use_allowance(tenant, page_cost)
  local has = allowances[tenant]
  if not has then return end
  has.waiting, has.pages, has.cost = has.waiting + 1, has.pages + 1, has.cost + (page_cost or 0)
  if has.tokens then
    has.tokens = has.tokens - 1
    has.is_used = true
  end
end

local function keep_allowances()
  for tenant, has in pairs(allowances) do
    if has.is_used then keep_tokens(root .. 'rate:' .. tenant, has.tokens, has.size, has.per_ms) end
  end
end
