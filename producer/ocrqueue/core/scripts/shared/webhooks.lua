-- Notices: what is to be told to a URL of theirs of one end, until a sender has told it. Needs root, now, as_text.
-- A notice waits in a lane of its tenant and its URL's host, for when it is due, so that a host that does not answer
-- holds up no other, and no other tenant. Lanes whose last attempt failed are apart from those that go well.
local function notice_key(notice) return root .. 'notice:' .. notice end
local function notices_of(id) return root .. 'notices_of:' .. id end
local function notice_lane(tenant, url)
  return tenant .. ' ' .. string.lower(string.match(url, '^%a+://[^/?#]+') or '')
end
local function notices_in(lane) return root .. 'notices:' .. lane end
local function notices_in_hand(lane) return root .. 'notices_in_hand:' .. lane end
local function lanes_key(failing) return root .. (failing and 'notice_lanes_failing' or 'notice_lanes') end
local function is_failing(lane) return redis.call('ZSCORE', lanes_key(true), lane) and true or false end

-- A URL that answered 410 is told nothing more.
local function off_entry(tenant, url) return tenant .. ' ' .. redis.sha1hex(url) end
local function is_off(tenant, url)
  return redis.call('ZSCORE', root .. 'webhooks_off', off_entry(tenant, url)) and true or false
end

-- It is due at this moment.
local function put_notice(notice, tenant, url)
  local lane = notice_lane(tenant, url)
  redis.call('ZADD', notices_in(lane), as_text(now), notice)
  redis.call('ZADD', lanes_key(is_failing(lane)), 'LT', as_text(now), lane)
  local bell = root .. 'bell:webhooks'
  if redis.call('LLEN', bell) == 0 then redis.call('LPUSH', bell, '1') end
end

local function add_notice(notice, tenant, url, ...)
  redis.call('HSET', notice_key(notice), 'tenant', tenant, 'url', url, 'made_at', as_text(now), 'attempts', '0', ...)
  put_notice(notice, tenant, url)
end

-- A job has ended. `url`: the job's own, else that of its tenant.
local function notify_of_job(id, tenant, url, outcome)
  url = url or redis.call('HGET', root .. 'webhooks', tenant)
  if not url or is_off(tenant, url) then return end
  local notice, fields = id .. '-' .. as_text(now), {'job', id, 'outcome', outcome}
  local record, names = root .. 'job:' .. id, {'tag', 'batch', 'queued_at', 'finished_at'}
  local replayed, wait_ms = unpack(redis.call('HMGET', record, 'replayed', 'queue_wait_ms'))
  -- a job that was replayed and has not started since still has the time of its start before
  if wait_ms or not replayed then names[#names + 1] = 'started_at' end
  for number, value in ipairs(redis.call('HMGET', record, unpack(names))) do
    if value then
      fields[#fields + 1] = names[number]
      fields[#fields + 1] = value
    end
  end
  redis.call('ZADD', notices_of(id), '+inf', notice)
  redis.call('PERSIST', notices_of(id))
  add_notice(notice, tenant, url, unpack(fields))
end

-- A closed batch has ended. `counts`: state -> how many of its jobs.
local function notify_of_batch(tenant, name, jobs, counts)
  local url = redis.call('HGET', root .. 'webhooks', tenant)
  if not url or is_off(tenant, url) then return end
  local notice = '_batch-' .. string.sub(redis.sha1hex(tenant .. ':' .. name), 1, 16) .. '-' .. as_text(now)
  local fields = {'batch', name, 'jobs', as_text(jobs), 'finished_at', as_text(now)}
  for _, state in ipairs({'succeeded', 'partial', 'failed', 'cancelled'}) do
    fields[#fields + 1] = state
    fields[#fields + 1] = as_text(counts[state] or 0)
  end
  add_notice(notice, tenant, url, unpack(fields))
end
