#!lua flags=allow-oom
-- uses: root, arguments, clock, as_text, silence, places
-- HEARTBEAT: a worker is there, and so are the parts in its hand that it names. Whoever reclaims knows by it that Redis
-- was within reach, though nobody had the duties meanwhile.
-- ARGV root, holder (the worker's instance), announcement (JSON, or '' for none), options, part, token, ...
--   options: lease_ms, duty_ms (how long the shared duties are this worker's, if they are nobody else's; 0: not wanted)
-- returns {1 if the duties are this worker's, now (ms), for each part 'yours', 'stop' or 'gone', 1 if it is to drain,
--   side lanes (100 at most)}
local holder, announcement, options, named = ARGV[2], ARGV[3], cjson.decode(ARGV[4]), arguments_from(5)
note_contact(options.lease_ms)
if announcement ~= '' then redis.call('HSET', root .. 'workers', holder, as_text(now) .. ' ' .. announcement) end
local on_duty, drains = unpack(redis.call('MGET', root .. 'duty', root .. 'drain:' .. holder))
-- none lasts for longer than a lease, unless the clock was put back since
local is_void = on_duty and redis.call('PTTL', root .. 'duty') > options.lease_ms
if options.duty_ms > 0 and (not on_duty or is_void or on_duty == holder) then
  redis.call('SET', root .. 'duty', holder, 'PX', as_text(options.duty_ms))
  on_duty = holder
end
local answers = {}
for number = 1, #named, 2 do
  local part, token = named[number], named[number + 1]
  local answer = 'gone'
  -- where others have put something else at its key, it is nobody's
  if redis.pcall('HGET', part_key(part), 'token') == token then
    redis.call('ZADD', root .. 'leases', 'XX', as_text(now + options.lease_ms), part)
    answer = redis.pcall('HEXISTS', record_key(job_of(part)), 'cancel') == 1 and 'stop' or 'yours'
  end
  answers[#answers + 1] = answer
end
local side_lanes = redis.call('SRANDMEMBER', root .. 'side_lanes', 100)
return {on_duty == holder and 1 or 0, as_text(now), answers, drains and 1 or 0, side_lanes}
