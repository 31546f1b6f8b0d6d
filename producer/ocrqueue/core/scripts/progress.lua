#!lua flags=allow-oom
-- uses: clock, as_text, is_final
--
-- Notes how many pages an attempt has done, and says what it is to do.
--
-- KEYS  record, running
-- ARGV  id, channel of its events, done (pages), pages (in all), attempt
--
-- Returns 'go on'; 'stop' if the job was asked to or has ended; 'elsewhere' if a newer attempt has it.
local record, running = KEYS[1], KEYS[2]
local id, channel, done, pages, attempt = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local state, newest_attempt, cancel = unpack(redis.call('HMGET', record, 'state', 'attempts', 'cancel'))
if state and is_final(state) then return 'stop' end
-- taken for lost and queued again, the job is worked on all the same: whoever ends it first ends it
if state ~= 'running' then return 'go on' end
if newest_attempt ~= attempt then return 'elsewhere' end

local progress = done .. '/' .. pages
redis.call('HSET', record, 'progress', progress)
redis.call('ZADD', running, 'XX', as_text(now), id)
redis.call('PUBLISH', channel, id .. ' running ' .. progress)
return cancel and 'stop' or 'go on'
