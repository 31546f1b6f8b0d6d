-- Uploaded images: the jobs that refer to each, with the time until which. Needs root, clock, as_text.
-- A job at work refers to its image for good; one that has ended for as long as its record stays, and an hour more; one
-- whose image was uploaded and that was not submitted yet for a day. While its key is there nobody removes the image.
local hour_ms = 3600000

-- The first half of the sum that the name is made of tells images apart, and takes half the memory.
local function input_key(name) return root .. 'input:' .. string.sub(name, 1, 32) end
-- While somebody removes what has this name from storage: an image, or all that a job has stored.
local function removal_key(name) return root .. 'removal:' .. name end

-- The key stays as long as its latest member. A few that are past go: no job makes more of them than it removes.
local function keep_until_latest(key)
  local past = redis.call('ZRANGEBYSCORE', key, '-inf', as_text(now), 'LIMIT', 0, 10)
  if #past > 0 then redis.call('ZREM', key, unpack(past)) end
  local latest = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2]
  if latest == 'inf' then
    redis.call('PERSIST', key)
  elseif latest then
    redis.call('PEXPIREAT', key, latest)
  end
end

-- nil for as long as the job is at work
local function refer_to_input(name, id, until_ms)
  redis.call('ZADD', input_key(name), until_ms and as_text(until_ms) or '+inf', id)
  keep_until_latest(input_key(name))
end

local function leave_input(name, id)
  redis.call('ZREM', input_key(name), id)
  keep_until_latest(input_key(name))
end

-- Of a job whose record says that it has one.
local function input_of(job)
  return string.match(job, '/inputs/(' .. string.rep('%x', 64) .. '%.%l+)')
end
