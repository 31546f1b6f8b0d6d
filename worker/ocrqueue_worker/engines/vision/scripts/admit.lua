#!lua flags=allow-oom
-- uses: clock, as_text, month_of
--
-- Admits one request to the engine's service, if the bucket holds a token and the month has images left.
--
-- KEYS  bucket, billed (images by month), admission (this request)
-- ARGV  size of the bucket; tokens_per_s that refill it; images that are wanted; images_per_month (0: any number);
--       remembered_ms (how long the admission is remembered); idle_ms (how long an unused bucket is)
--
-- Returns {images that are granted, how long to wait if none is (ms), 1 if the month's images are used up}.
local bucket, billed, admission = KEYS[1], KEYS[2], KEYS[3]
local size, tokens_per_s = tonumber(ARGV[1]), tonumber(ARGV[2])
local images, images_per_month = tonumber(ARGV[3]), tonumber(ARGV[4])
local remembered_ms, idle_ms = ARGV[5], ARGV[6]

local known = redis.call('GET', admission)
if known then return {tonumber(known:match(':(%d+)$')), 0, 0} end

local month = month_of(now)
if images_per_month > 0 then
  images = math.min(images, images_per_month - tonumber(redis.call('HGET', billed, month) or 0))
  if images <= 0 then return {0, 0, 1} end
end

local tokens, wait_ms = 1, 0
local left, counted_at = unpack(redis.call('HMGET', bucket, 'tokens', 'at'))
if left then
  -- a clock that was set back stands still for once
  tokens = math.min(size, tonumber(left) + math.max(0, now - tonumber(counted_at)) / 1000 * tokens_per_s)
end
if tokens >= 1 then
  tokens = tokens - 1
  redis.call('HINCRBY', billed, month, as_text(images))
  redis.call('SET', admission, month .. ':' .. as_text(images), 'PX', remembered_ms)
else
  images, wait_ms = 0, math.ceil((1 - tokens) / tokens_per_s * 1000)
end
-- tokens are no whole number
redis.call('HSET', bucket, 'tokens', string.format('%.9f', tokens), 'at', as_text(now))
redis.call('PEXPIRE', bucket, idle_ms)
return {images, wait_ms, 0}
