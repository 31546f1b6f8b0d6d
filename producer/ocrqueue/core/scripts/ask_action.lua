#!lua flags=allow-oom
-- uses: root, clock, as_text
-- ASK_ACTION: an action on many jobs is to be done by whoever has time. Deleting is a remedy for a full Redis.
-- ARGV root, id, how many may be unfinished, field, value, ...
-- returns 1, or 0 where there are that many
local id, most, fields = ARGV[2], tonumber(ARGV[3]), {unpack(ARGV, 4)}
if redis.call('ZCARD', root .. 'actions') >= most then return 0 end
redis.call('HSET', root .. 'action:' .. id, unpack(fields))
redis.call('ZADD', root .. 'actions', as_text(now), id)
return 1
