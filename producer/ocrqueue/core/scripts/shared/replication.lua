-- Which life of Redis's data this is: a restart or a failover may have lost what the one before knew. Needs root.
local replication_key = root .. 'replication'
-- of 40: those that a record has room for
local replication_digits = 8

-- Remembers it, so that it is known without INFO, which is long to make.
local function note_replication()
  local id = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  local current = string.sub(id, 1, replication_digits)
  if redis.call('GET', replication_key) ~= current then redis.call('SET', replication_key, current) end
end

-- As a worker has noted it; false before there was any. INFO is not for everybody who submits.
local function known_replication()
  return redis.call('GET', replication_key)
end
