-- How a notice leaves its lane. Needs root, now, as_text, webhooks.
-- The lane is looked at next when its first notice is due; or, where as many are in hand as may be, when a lease of
-- theirs ends. `at_once`: how many those are; nil: any number.
local function settle_lane(lane, failing, at_once)
  redis.call('ZREM', lanes_key(not failing), lane)
  local first = redis.call('ZRANGE', notices_in(lane), 0, 0, 'WITHSCORES')
  if not first[1] then
    redis.call('ZREM', lanes_key(failing), lane)
    return
  end
  local due = tonumber(first[2])
  if at_once and redis.call('ZCARD', notices_in_hand(lane)) >= at_once then
    local lease = redis.call('ZRANGE', notices_in_hand(lane), 0, 0, 'WITHSCORES')[2]
    due = math.max(due, tonumber(lease))
  end
  redis.call('ZADD', lanes_key(failing), as_text(due), lane)
end

local function take_from_lane(notice, lane)
  redis.call('ZREM', notices_in(lane), notice)
  redis.call('ZREM', notices_in_hand(lane), notice)
end

-- Nobody is told any more; what became of it is kept for a while.
local function end_notice(notice, lane, state, kept_ms)
  local key = notice_key(notice)
  take_from_lane(notice, lane)
  redis.call('HSET', key, 'state', state, 'ended_at', as_text(now))
  redis.call('HDEL', key, 'token')
  redis.call('PEXPIRE', key, as_text(kept_ms))
  if state == 'failed' then redis.call('ZADD', root .. 'notices_failed', as_text(now), notice) end
  local id = redis.call('HGET', key, 'job')
  if not id then return end
  redis.call('ZADD', notices_of(id), as_text(now + kept_ms), notice)
  local last = redis.call('ZRANGE', notices_of(id), -1, -1, 'WITHSCORES')[2]
  if last ~= 'inf' then redis.call('PEXPIREAT', notices_of(id), as_text(tonumber(last))) end
end

local function forget_notice(notice)
  local tenant, url = unpack(redis.call('HMGET', notice_key(notice), 'tenant', 'url'))
  if tenant then
    local lane = notice_lane(tenant, url)
    take_from_lane(notice, lane)
    settle_lane(lane, is_failing(lane))
  end
  redis.call('ZREM', root .. 'notices_failed', notice)
  redis.call('DEL', notice_key(notice))
end
