#!lua
-- uses: root, clock, as_text, inputs
-- ANNOUNCE_INPUT: a job that is about to be submitted will refer to an image, which is uploaded next where it is
-- not there.
-- ARGV root, name of the image, id of the job
-- returns 1; or 0 where the image is being removed at this moment, and nothing has happened
local name, id = ARGV[2], ARGV[3]
if redis.call('EXISTS', removal_key(name)) == 1 then return 0 end
-- GT: of a job that was submitted already it stays as it is
redis.call('ZADD', input_key(name), 'GT', as_text(now + 24 * hour_ms), id)
keep_until_latest(input_key(name))
return 1
