#!lua flags=allow-oom
-- uses: root, clock
-- NOTE_REPLICATION: remember when Redis's data became another's: a restart or a failover may have lost what it knew.
-- ARGV root
-- For every job that was submitted before, a result may be in storage already. Not so where no worker has been before.
local key = root .. 'replication'
local current = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local known = redis.call('HGET', key, 'id')
if known == current then return end
redis.call('HSET', key, 'id', current)
if known then redis.call('HSET', key, 'changed_at', (math.floor(now / 1000) + 1) * 1000) end
