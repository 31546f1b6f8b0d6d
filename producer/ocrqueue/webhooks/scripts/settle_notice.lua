#!lua flags=allow-oom
-- uses: root, clock, as_text, lines, webhooks, ending_notices
-- SETTLE_NOTICE: an attempt to tell somebody is over.
-- ARGV root, notice, token, verdict ('delivered'; 'retry', after delay_ms; 'failed'; or 'off': the URL wants nothing
--   more), line (JSON, for the log), options
--   options: delay_ms, kept_ms and failed_kept_ms (for how long is kept what became of it), at_once, at_once_failing,
--   most_off (URLs that are remembered)
-- returns 1; 0 where it is no longer the caller's
local notice, token, verdict, line, options = ARGV[2], ARGV[3], ARGV[4], ARGV[5], cjson.decode(ARGV[6])
local key = notice_key(notice)
local own, tenant, url, log = unpack(redis.call('HMGET', key, 'token', 'tenant', 'url', 'log'))
if own ~= token then return 0 end
local lane = notice_lane(tenant, url)
local failing = verdict == 'retry' or verdict == 'failed'
redis.call('HSET', key, 'log', with_line(log or nil, line, 32))
if verdict == 'retry' then
  redis.call('HDEL', key, 'token')
  redis.call('ZREM', notices_in_hand(lane), notice)
  redis.call('ZADD', notices_in(lane), as_text(now + options.delay_ms), notice)
elseif verdict == 'delivered' then
  end_notice(notice, lane, 'delivered', options.kept_ms)
else
  end_notice(notice, lane, 'failed', options.failed_kept_ms)
end
if verdict == 'off' then
  local off = root .. 'webhooks_off'
  redis.call('ZADD', off, as_text(now), off_entry(tenant, url))
  redis.call('ZREMRANGEBYRANK', off, 0, -options.most_off - 1)
  failing = is_failing(lane)
end
redis.call('ZREMRANGEBYSCORE', root .. 'notices_failed', '-inf', as_text(now - options.failed_kept_ms))
settle_lane(lane, failing, failing and options.at_once_failing or options.at_once)
return 1
