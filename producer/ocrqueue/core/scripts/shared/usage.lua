-- What a tenant has used, by day and by calendar month (UTC). Needs root, clock, as_text, month_of.
local is_counted_whole = {jobs = true, pages = true, bytes = true}
local usage_life_ms = '34560000000'

local function add_usage(key, used)
  local has_begun = false
  for name, amount in pairs(used) do
    if amount ~= 0 then
      local increment = is_counted_whole[name] and 'HINCRBY' or 'HINCRBYFLOAT'
      local sum = redis.call(increment, key, name, string.format('%.15g', amount))
      has_begun = has_begun or tonumber(sum) == amount
    end
  end
  if has_begun then redis.call('PEXPIRE', key, usage_life_ms) end
  return has_begun
end

-- `used`: name -> number
local function count_usage(tenant, used)
  local day = as_text(math.floor(now / 86400000))
  if add_usage(root .. 'usage:' .. day .. ':' .. tenant, used) then
    redis.call('ZADD', root .. 'usage_tenants', 'GT', day, tenant)
    redis.call('ZREMRANGEBYSCORE', root .. 'usage_tenants', '-inf', as_text(day - 400))
  end
  add_usage(root .. 'usage:' .. month_of(now) .. ':' .. tenant, used)
end
