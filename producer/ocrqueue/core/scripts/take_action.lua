#!lua flags=allow-oom
-- uses: root, clock, as_text
-- TAKE_ACTION: the action that has waited longest, or whose lease has run out, is the caller's under a lease.
-- ARGV root, token, lease (ms)
-- returns its id and the fields of its hash, with this token; {} where there is none
local token, lease_ms = ARGV[2], tonumber(ARGV[3])
local actions = root .. 'actions'
while true do
  local id = unpack(redis.call('ZRANGEBYSCORE', actions, '-inf', as_text(now), 'LIMIT', 0, 1))
  if not id then return {} end
  local key = root .. 'action:' .. id
  if redis.call('EXISTS', key) == 1 then
    redis.call('ZADD', actions, as_text(now + lease_ms), id)
    redis.call('HSET', key, 'token', token)
    redis.call('HINCRBY', key, 'takes', 1)
    return {id, redis.call('HGETALL', key)}
  end
  redis.call('ZREM', actions, id)
end
