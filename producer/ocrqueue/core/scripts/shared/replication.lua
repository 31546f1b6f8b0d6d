-- Which life of Redis's data this is: a restart or a failover may have lost what the one before knew. Needs root.
local replication_key = root .. 'replication'
-- of 40: those that a record has room for
local replication_digits = 8

-- Remembers it, so that it is known without INFO, which is long to make.
local function note_replication()
  local told = redis.call('INFO', 'replication')
  local current = string.sub(string.match(told, 'master_replid:(%x+)'), 1, replication_digits)
  if redis.call('GET', replication_key) ~= current then redis.call('SET', replication_key, current) end
  return current
end

-- As it was noted last.
local function known_replication()
  return redis.call('GET', replication_key)
end
