-- Jobs at work of tenants with a limit a month: each counts as a page, and as what that costs, until what it came to is
-- counted as usage. A job keeps what it counts as, for limits come and go meanwhile. Needs root.
local limits_by_tenant = {}

-- As ocrqueue.core.limits writes them, or false.
local function limits_of(tenant)
  if limits_by_tenant[tenant] == nil then
    local text = redis.call('HGET', root .. 'limits', tenant)
    limits_by_tenant[tenant] = text and cjson.decode(text) or false
  end
  return limits_by_tenant[tenant]
end

local function reserved_key(tenant) return root .. 'reserved:' .. tenant end

-- For a job that comes in, of which `page_cost` is what its dearest engine takes for a page. Returns what the record
-- is to have as `reserved`, or nil.
local function reserve(tenant, page_cost)
  local limits = limits_of(tenant)
  if not limits or not (limits.pages_a_month or limits.budget_a_month) then return nil end
  local cost = string.format('%.15g', page_cost or 0)
  redis.call('HINCRBY', reserved_key(tenant), 'jobs', 1)
  redis.call('HINCRBYFLOAT', reserved_key(tenant), 'cost', cost)
  return cost
end

local function end_reservation(tenant, cost)
  local key = reserved_key(tenant)
  if redis.call('HINCRBY', key, 'jobs', -1) <= 0 then
    redis.call('DEL', key)
  else
    redis.call('HINCRBYFLOAT', key, 'cost', string.format('%.15g', -tonumber(cost)))
  end
end
