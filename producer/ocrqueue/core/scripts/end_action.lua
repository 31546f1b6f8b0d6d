#!lua flags=allow-oom
-- uses: root, clock, as_text
-- END_ACTION: it is done, or cannot be.
-- ARGV root, id, token, for how long what came of it is kept (ms), field, value, ...
-- returns 1, or 0 where it is not the caller's any more
local id, token, kept_ms, fields = ARGV[2], ARGV[3], ARGV[4], {unpack(ARGV, 5)}
local key = root .. 'action:' .. id
if redis.call('HGET', key, 'token') ~= token then return 0 end
redis.call('HSET', key, 'ended_at', as_text(now), unpack(fields))
redis.call('HDEL', key, 'token')
redis.call('PEXPIRE', key, kept_ms)
redis.call('ZREM', root .. 'actions', id)
return 1
