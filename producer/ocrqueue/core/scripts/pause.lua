#!lua flags=allow-oom
-- uses: root, clock, as_text, places
-- PAUSE: nothing more is taken of an engine, a lane or a tenant. What was begun ends.
-- ARGV root, kind ('engine', 'lane' or 'tenant'), name, note (why)
-- returns 1, or 0 where it was paused already: since when and why stays as it is
-- Its time grows with the number of lanes that there are.
local kind, name, note = ARGV[2], ARGV[3], ARGV[4]
local is_new = redis.call('HSETNX', root .. 'turns', kind .. ':' .. name, as_text(now) .. ' ' .. note)
if kind == 'tenant' then
  for _, lane in ipairs(known_lanes()) do
    local tag = redis.call('ZSCORE', lane_key(lane), name)
    if tag then depart(lane, name, tag) end
  end
end
return is_new
