#!lua
-- uses: root, clock, as_text, ended_ids
-- REMEMBER_READING: the result of an image is there, should the same be asked again.
-- ARGV root, cache key, URI of the result, for how long (s), id of the job that has read it
-- returns 1, or 0 where that job was deleted meanwhile
local key, uri, life_s, id = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local record = root .. 'job:' .. id
local state, before = unpack(redis.call('HMGET', record, 'state', 'read'))
if not state and was_deleted(id) then return 0 end
redis.call('SET', root .. 'read:' .. key, uri, 'EX', life_s)
-- for its deletion
if state then redis.call('HSET', record, 'read', before and (before .. ' ' .. key) or key) end
return 1
