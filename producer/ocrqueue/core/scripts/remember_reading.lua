#!lua
-- uses: root
-- REMEMBER_READING: the result of an image is there, should the same be asked again.
-- ARGV root, cache key, URI of the result, for how long (s), id of the job that has read it
local key, uri, life_s, id = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
redis.call('SET', root .. 'read:' .. key, uri, 'EX', life_s)
-- for its deletion
local record = root .. 'job:' .. id
local state, before = unpack(redis.call('HMGET', record, 'state', 'read'))
if state then redis.call('HSET', record, 'read', before and (before .. ' ' .. key) or key) end
