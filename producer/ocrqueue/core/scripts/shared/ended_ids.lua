-- The ids of jobs that have ended, by day: what is remembered of a job for long takes little, and goes as a whole.
-- Needs root, clock, as_text.
local day_ms = 86400000
local ended_days

local function ended_key(day) return root .. 'ended_ids:' .. day end

local function remember_ended(id, life_ms)
  local day = as_text(math.floor(now / day_ms))
  -- only the first of a day says how long it is kept: the last one of the day is remembered for `life_ms` all the same
  if redis.call('SADD', ended_key(day), id) == 1 and redis.call('SCARD', ended_key(day)) > 1 then return end
  redis.call('SADD', root .. 'ended_days', day)
  redis.call('PEXPIRE', ended_key(day), as_text(life_ms + day_ms))
end

-- So that of a job without a record others than its tenant need not be told that it was.
local function as_of_tenant(id, tenant) return id .. ' @' .. tenant end

local function remember_tenant(id, tenant, life_ms)
  if tenant and tenant ~= '' then remember_ended(as_of_tenant(id, tenant), life_ms) end
end

local function has_ended(id)
  ended_days = ended_days or redis.call('SMEMBERS', root .. 'ended_days')
  for _, day in ipairs(ended_days) do
    if redis.call('SISMEMBER', ended_key(day), id) == 1 then return true end
  end
  return false
end

-- A deleted job has ended, and has an entry more.
local function as_deleted(id) return id .. ' deleted' end

local function remember_deleted(id, life_ms)
  remember_ended(id, life_ms)
  remember_ended(as_deleted(id), life_ms)
end

local function was_deleted(id) return has_ended(as_deleted(id)) end

local function is_to_live_again(id, tenant)
  for _, day in ipairs(redis.call('SMEMBERS', root .. 'ended_days')) do
    redis.call('SREM', ended_key(day), id, as_deleted(id), as_of_tenant(id, tenant or ''))
  end
end

local function forget_expired_days()
  for _, day in ipairs(redis.call('SMEMBERS', root .. 'ended_days')) do
    if redis.call('EXISTS', ended_key(day)) == 0 then redis.call('SREM', root .. 'ended_days', day) end
  end
end
