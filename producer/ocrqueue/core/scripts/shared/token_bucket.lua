-- A bucket of tokens that fills up steadily, by Redis's clock; one that is full is not kept. Needs now, as_text.
local function tokens_in(key, size, per_ms)
  local left, at = unpack(redis.call('HMGET', key, 'tokens', 'at'))
  if not left then return size end
  -- a clock that was set back stands still for once
  return math.min(size, tonumber(left) + math.max(0, now - tonumber(at)) * per_ms)
end

local function keep_tokens(key, tokens, size, per_ms)
  -- tokens are no whole number
  redis.call('HSET', key, 'tokens', string.format('%.9f', tokens), 'at', as_text(now))
  redis.call('PEXPIRE', key, as_text(math.ceil((size - tokens) / per_ms) + 1))
end

-- When there is a whole token again, in ms; not one more where a quotient is a whole number but for its last digit.
local function wait_for_token(tokens, per_ms) return math.max(1, math.ceil((1 - tokens) / per_ms - 0.001)) end
