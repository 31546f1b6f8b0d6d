-- The page parts of a job that was split: a window of them exists at a time. Needs all of places and ending.
-- Of those that wait or pause; what comes back from a hand does so all the same, and the next one waits for room.
local most_waiting = 32

-- How many of the job's page parts wait or pause has changed, where this is one.
local function count_idle(part, change)
  if is_page_part(part) then redis.call('HINCRBY', record_key(job_of(part)), 'idle', as_text(change)) end
end

-- The next page part that has not had its place yet comes into the lane.
local function open_next_part(id)
  local record = record_key(id)
  local known = redis.call('HMGET', record, 'next_part', 'parts', 'lane', 'tenant', 'sequence', 'kind', 'cancel',
    'idle')
  local number, parts = tonumber(known[1]), tonumber(known[2])
  if not number or number > parts or known[7] then return end
  if tonumber(known[8] or 0) >= most_waiting then return end
  local part = id .. ':' .. string.format('%05d', number)
  redis.call('HSET', record, 'next_part', as_text(number + 1))
  redis.call('HSET', part_key(part), 'place', 'waiting', 'lane', known[3], 'sequence', known[5], 'kind', known[6] or '')
  redis.call('SADD', root .. 'open:' .. id, part)
  count_idle(part, 1)
  put_in_lane(part, known[3], known[4] or '', known[5])
  -- the lane of its first engine: of a job with a route, whoever made room for it may have taken from another
  ring(known[3], known[4] or '')
end

-- A page part is done: nil as its error for success. Returns how many of the job's parts are not done yet.
local function page_part_done(part, error)
  local id = job_of(part)
  redis.call('DEL', part_key(part))
  if redis.call('SREM', root .. 'open:' .. id, part) == 0 then
    return tonumber(redis.call('HGET', record_key(id), 'open') or 0)
  end
  redis.call('HSET', root .. 'parts:' .. id, string.match(part, ':(%d+)$'), error or '')
  return redis.call('HINCRBY', record_key(id), 'open', -1)
end

-- So many of the job's page parts are not done yet.
local function tell_progress(id, left)
  local parts = tonumber(redis.call('HGET', record_key(id), 'parts'))
  local progress = as_text(parts - left) .. '/' .. as_text(parts)
  redis.call('HSET', record_key(id), 'progress', progress)
  tell(id, 'running ' .. progress)
end

-- All pages are done, and nobody is at hand to gather them: the closing part waits for a worker.
local function queue_closing_part(id)
  local record = record_key(id)
  local known = redis.call('HMGET', record, 'lane', 'tenant', 'sequence')
  redis.call('HSET', record, 'place', 'waiting', 'closing', '1', 'alone', '1')
  put_in_lane(id, known[1], known[2] or '', known[3])
  ring(known[1], known[2] or '')
end
