#!lua flags=allow-oom
-- uses: root, clock, as_text, places
-- RESUME: what was paused is taken again, in the order in which it would have been.
-- ARGV root, kind ('engine', 'lane' or 'tenant'), name
-- returns 1, or 0 where it was not paused
-- Its time grows with the number of lanes that there are.
local kind, name = ARGV[2], ARGV[3]
local was_paused = redis.call('HDEL', root .. 'turns', kind .. ':' .. name)
for _, lane in ipairs(known_lanes()) do
  if kind == 'tenant' and redis.call('EXISTS', queue_key(lane, name)) == 1 then
    join(lane, name)
    ring(lane, name)
  elseif counted_as(lane) == name or kind == 'engine' and engine_of(lane) == name then
    if redis.call('EXISTS', lane_key(lane)) == 1 and not is_lane_paused(lane) then ring_at(lane) end
  end
end
return was_paused
