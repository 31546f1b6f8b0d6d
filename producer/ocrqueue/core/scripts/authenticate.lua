#!lua flags=allow-oom
-- uses: root, clock, as_text, token_bucket
-- AUTHENTICATE: a request comes with an API key. In one step, so that a key is worth nothing once it is revoked.
-- ARGV root, id of the key, sum (sha256 of the key as it was shown, in hex; '' where the request is signed, and whoever
--   asks has found the signature right)
-- returns {'valid', JSON of the key}, {'unknown'}: also where the sum is another, {'expired'}, or {'too often', when to
-- come back (ms)}
local id, sum = ARGV[2], ARGV[3]
local used_to_ms = 60000

local text = redis.call('HGET', root .. 'api_keys', id)
local key = text and cjson.decode(text) or {}
if not text or (sum ~= '' and key.sha256 ~= sum) then return {'unknown'} end
if key.expires_at_ms and key.expires_at_ms <= now then return {'expired'} end
-- a write a minute, and not one a request
local used = tonumber(redis.call('HGET', root .. 'api_keys_used', id) or 0)
if now - used >= used_to_ms then redis.call('HSET', root .. 'api_keys_used', id, as_text(now)) end
if key.rate then
  local bucket, size, per_ms = root .. 'key_rate:' .. id, key.rate.count, key.rate.count / key.rate.per_s / 1000
  local tokens = tokens_in(bucket, size, per_ms)
  if tokens < 1 then return {'too often', as_text(wait_for_token(tokens, per_ms))} end
  keep_tokens(bucket, tokens - 1, size, per_ms)
end
return {'valid', text}
