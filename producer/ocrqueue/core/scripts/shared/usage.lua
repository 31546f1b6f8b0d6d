-- What a tenant has used, by day (UTC). Needs root, clock, as_text.
local is_counted_whole = {jobs = true, pages = true, bytes = true}

-- `used`: name -> number
local function count_usage(tenant, used)
  local day = as_text(math.floor(now / 86400000))
  local key = root .. 'usage:' .. day .. ':' .. tenant
  local is_first = redis.call('EXISTS', key) == 0
  local has_used = false
  for name, amount in pairs(used) do
    if amount ~= 0 then
      local increment = is_counted_whole[name] and 'HINCRBY' or 'HINCRBYFLOAT'
      redis.call(increment, key, name, string.format('%.15g', amount))
      has_used = true
    end
  end
  if not (is_first and has_used) then return end
  redis.call('PEXPIRE', key, '34560000000')
  redis.call('ZADD', root .. 'usage_tenants', 'GT', day, tenant)
  redis.call('ZREMRANGEBYSCORE', root .. 'usage_tenants', '-inf', as_text(day - 400))
end
