-- Batches: how many jobs of each have become what, and who is told when the last job of a closed one has ended. Needs
-- root, now, as_text, batch_keys, webhooks.
-- Counted are all jobs that were ever in it: one that was deleted, or whose record has expired, stays so. A batch is
-- kept until the last record of its jobs is gone; `until` is when that is, of those that have ended.
local function is_batch_closed(tenant, name)
  return redis.call('HGET', batch_key(tenant, name), 'closed_at') and true or false
end

local function tell_batch_end(own, jobs, told)
  if not own.reply_to then return end
  local filling = {JOBS = as_text(jobs), TASK = told .. '-' .. as_text(now)}
  for _, state in ipairs({'succeeded', 'partial', 'failed', 'cancelled'}) do
    filling[string.upper(state)] = as_text(own[state] or 0)
  end
  local message = string.gsub(own.reply, '<(%u+)>', filling)
  -- where that key of theirs is no list, nobody listens there
  redis.pcall('LPUSH', string.sub(root, 1, -10) .. own.reply_to, message)
end

-- Nobody works on any of its jobs: it is not kept for good, and has ended if it is closed.
local function settle_batch(tenant, name)
  local key, own = batch_key(tenant, name), {}
  local stored = redis.call('HGETALL', key)
  for field = 1, #stored, 2 do own[stored[field]] = stored[field + 1] end
  local jobs, ended = tonumber(own.jobs or 0), 0
  for _, state in ipairs({'succeeded', 'partial', 'failed', 'cancelled'}) do ended = ended + (own[state] or 0) end
  if ended < jobs then return end
  if own.closed_at and not own.ended_at then
    redis.call('HSET', key, 'ended_at', as_text(now))
    tell_batch_end(own, jobs, (tenant or '') .. ':' .. name)
    notify_of_batch(tenant or '', name, jobs, own)
  end
  redis.call('PEXPIREAT', batch_list(tenant, name), own['until'])
  redis.call('PEXPIREAT', key, own['until'])
end

-- One of its jobs is at work, and was not.
local function keep_batch(tenant, name)
  redis.call('PERSIST', batch_key(tenant, name))
  redis.call('PERSIST', batch_list(tenant, name))
  redis.call('HDEL', batch_key(tenant, name), 'ended_at')
end

-- A job that is in it already is not counted twice.
local function join_batch(id, tenant, name, sequence)
  if redis.call('ZADD', batch_list(tenant, name), 'NX', sequence, id) == 0 then return end
  if redis.call('HINCRBY', batch_key(tenant, name), 'jobs', 1) == 1 then
    redis.call('HSET', batch_key(tenant, name), 'created_at', as_text(now))
  end
  keep_batch(tenant, name)
end

-- A job of it has ended. `was`: its state before.
local function count_in_batch(tenant, name, was, state, life_ms)
  local key = batch_key(tenant, name)
  redis.call('HINCRBY', key, state, 1)
  if was == 'running' then redis.call('HINCRBY', key, 'running', -1) end
  local until_ms = as_text(now + life_ms)
  if tonumber(redis.call('HGET', key, 'until') or 0) < tonumber(until_ms) then
    redis.call('HSET', key, 'until', until_ms)
  end
  settle_batch(tenant, name)
end

-- A job of it that has failed is at work again. A closed batch ends again, and says so again.
local function return_to_batch(id, tenant, name, sequence)
  if not redis.call('HGET', batch_key(tenant, name), 'jobs') then
    return join_batch(id, tenant, name, sequence)
  end
  redis.call('HINCRBY', batch_key(tenant, name), 'failed', -1)
  keep_batch(tenant, name)
end
