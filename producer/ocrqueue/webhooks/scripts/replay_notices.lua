#!lua
-- uses: root, clock, as_text, webhooks
-- REPLAY_NOTICES: what has been delivered, or has failed, is to be told again.
-- ARGV root, notice, ...
-- returns for each 'queued', also where it waits already; 'off' where its URL wants nothing more; 'unknown'
local notices = {unpack(ARGV, 2)}

local function replay(notice)
  local key = notice_key(notice)
  local tenant, url, state, id = unpack(redis.call('HMGET', key, 'tenant', 'url', 'state', 'job'))
  if not tenant then return 'unknown' end
  if is_off(tenant, url) then return 'off' end
  if not state then return 'queued' end
  redis.call('HDEL', key, 'state', 'ended_at')
  redis.call('HSET', key, 'attempts', '0', 'made_at', as_text(now))
  redis.call('PERSIST', key)
  redis.call('ZREM', root .. 'notices_failed', notice)
  if id then
    redis.call('ZADD', notices_of(id), '+inf', notice)
    redis.call('PERSIST', notices_of(id))
  end
  put_notice(notice, tenant, url)
  return 'queued'
end

local answers = {}
for number, notice in ipairs(notices) do answers[number] = replay(notice) end
return answers
