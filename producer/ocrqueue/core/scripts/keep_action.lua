#!lua flags=allow-oom
-- uses: root, clock, as_text
-- KEEP_ACTION: whoever has an action goes on with it, or lets it go for others to go on.
-- ARGV root, id, token, lease (ms; 0: lets it go), field, value, ... (what is known of it by now)
-- returns 1, or 0 where it is not the caller's any more
local id, token, lease_ms, fields = ARGV[2], ARGV[3], tonumber(ARGV[4]), {unpack(ARGV, 5)}
local key = root .. 'action:' .. id
if redis.call('HGET', key, 'token') ~= token then return 0 end
if #fields > 0 then redis.call('HSET', key, unpack(fields)) end
if lease_ms == 0 then redis.call('HDEL', key, 'token') end
redis.call('ZADD', root .. 'actions', as_text(now + lease_ms), id)
return 1
