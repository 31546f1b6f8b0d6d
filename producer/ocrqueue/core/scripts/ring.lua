#!lua flags=allow-oom
-- uses: root, arguments
-- RING: whoever listens at these bells is to look at its lanes.
-- ARGV root, for how long a ring waits (ms; 0: until it is heard), bell (a lane, or ':' and a worker's instance), ...
-- returns how many rang again. Its time grows with the number of bells.
local waits_ms, bells = ARGV[2], arguments_from(3)
local rung = 0
for _, bell in ipairs(bells) do
  local key = root .. 'bell:' .. bell
  -- one ring at most waits
  if redis.call('LLEN', key) == 0 then rung = rung + redis.call('LPUSH', key, '1') end
  if waits_ms ~= '0' then redis.call('PEXPIRE', key, waits_ms) end
end
return rung
