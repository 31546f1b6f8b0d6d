#!lua flags=allow-oom
-- uses: root, clock, as_text, lines, webhooks, ending_notices
-- CLAIM_NOTICES: what is due, for one sender, which has it for the time of a lease.
-- ARGV root, token (random, made by the caller; asked again with it, the answer is the same notices), options
--   options: most (notices), most_failing (of them, in lanes whose last attempt failed), at_once and at_once_failing
--   (notices of a lane in hand), lease_ms, give_up_ms (after which a notice fails without another attempt), kept_ms
--   (for how long one that has failed is kept), gave_up (a line for its log, with @NOW@ in it), look_at (lanes)
-- returns {now, when the next is due or '', how many have ended here, {notice, failing, field, value, ...}, ...}
local token, options = ARGV[2], cjson.decode(ARGV[3])
local taken_key = root .. 'notices_taken:' .. token
local gave_up = string.gsub(options.gave_up, '@NOW@', as_text(now))
local taken, ended = redis.call('LRANGE', taken_key, 0, -1), 0

local function is_to_end(own, failing)
  if is_off(own[1], own[2]) then return true end
  local has_been_tried = tonumber(own[4] or 0) > 0 or failing
  return has_been_tried and now - tonumber(own[3] or 0) > options.give_up_ms
end

local function claim(notice, lane, failing)
  local key = notice_key(notice)
  local own = redis.call('HMGET', key, 'tenant', 'url', 'made_at', 'attempts')
  if not own[2] then
    take_from_lane(notice, lane)
    ended = ended + 1
  elseif is_to_end(own, failing) then
    local log = redis.call('HGET', key, 'log') or nil
    redis.call('HSET', key, 'log', with_line(log, gave_up, 32))
    end_notice(notice, lane, 'failed', options.kept_ms)
    ended = ended + 1
  else
    local until_ms = as_text(now + options.lease_ms)
    redis.call('ZADD', notices_in(lane), until_ms, notice)
    redis.call('ZADD', notices_in_hand(lane), until_ms, notice)
    redis.call('HSET', key, 'token', token)
    redis.call('HINCRBY', key, 'attempts', 1)
    redis.call('RPUSH', taken_key, notice)
    taken[#taken + 1] = notice
  end
end

local function claim_from(lane, failing, most)
  redis.call('ZREMRANGEBYSCORE', notices_in_hand(lane), '-inf', as_text(now))
  local at_once = failing and options.at_once_failing or options.at_once
  local free = math.min(most, at_once - redis.call('ZCARD', notices_in_hand(lane)))
  if free > 0 then
    local due = redis.call('ZRANGEBYSCORE', notices_in(lane), '-inf', as_text(now), 'LIMIT', 0, free)
    for _, notice in ipairs(due) do claim(notice, lane, failing) end
  end
  settle_lane(lane, failing, at_once)
end

local function claim_all(failing, most)
  local due = redis.call('ZRANGEBYSCORE', lanes_key(failing), '-inf', as_text(now), 'LIMIT', 0, options.look_at)
  local before = #taken
  for _, lane in ipairs(due) do
    local left = most - (#taken - before)
    if left <= 0 then return end
    claim_from(lane, failing, left)
  end
end

if #taken == 0 then
  claim_all(false, options.most)
  claim_all(true, math.min(options.most - #taken, options.most_failing))
  if #taken > 0 then redis.call('PEXPIRE', taken_key, as_text(options.lease_ms)) end
end

local next_due
for _, failing in ipairs({false, true}) do
  local due = redis.call('ZRANGE', lanes_key(failing), 0, 0, 'WITHSCORES')[2]
  if due and (not next_due or tonumber(due) < tonumber(next_due)) then next_due = due end
end
local answer = {as_text(now), next_due or '', ended}
for _, notice in ipairs(taken) do
  local fields = redis.call('HGETALL', notice_key(notice))
  local lane = fields[1] and notice_lane(unpack(redis.call('HMGET', notice_key(notice), 'tenant', 'url'))) or ''
  answer[#answer + 1] = {notice, is_failing(lane) and 1 or 0, unpack(fields)}
end
return answer
