#!lua flags=allow-oom
-- uses: root, clock, as_text, is_final, ended_ids, places, counts, inputs
-- uses: batch_keys, job_lists, webhooks, batches, reservations, ending, page_parts, lines, attempts, leaving
-- RELEASE: an attempt is over in order, or never began, and the part is to have another.
-- ARGV root, part, token, options, error (JSON, or '')
--   options: pause_ms (0: at once), is_retry (counts as one), alone (it is to be read by itself from now on),
--   if_begun ('refuse': not then; 'undo': the attempt has done nothing, and is to be none), side_lane (where it waits
--   from now on), denied (its worker's access is as it should be, and the job was denied), cancelled (the ending of a
--   job that was asked to stop)
-- returns 'released', 'cancelled', 'ended' or 'gone'; 'begun' where nothing was to happen then
local part, token, options, error = ARGV[2], ARGV[3], cjson.decode(ARGV[4]), ARGV[5]
local id, key = job_of(part), part_key(part)
local record = record_key(id)
local own = redis.call('HMGET', key, 'token', 'holder', 'lane', 'sequence', 'begun', 'attempts', 'worker')
if own[1] ~= token then
  local state = redis.call('HGET', record, 'state')
  return (not state or is_final(state)) and 'ended' or 'gone'
end
if options.if_begun == 'refuse' and own[5] then return 'begun' end
let_go(part, key, token, own[2], own[5])
local job = redis.call('HMGET', record, 'cancel', 'tenant', 'state', 'batch')
if job[1] then return leave_cancelled(part, options.cancelled) end
-- what was not begun has met nobody since it was last lost
if own[5] then redis.call('HDEL', key, 'deliveries') end
if own[5] and options.if_begun == 'undo' then
  if redis.call('HINCRBY', key, 'attempts', -1) == 0 and not is_page_part(part) then
    redis.call('HDEL', record, 'attempts', 'started_at', 'queue_wait_ms')
  end
elseif own[5] then
  local attempt = {number = own[6], started = own[5], worker = own[7], engine = engine_of(own[3])}
  note_attempt(part, attempt, options.is_retry and 'retried' or 'given back', error)
end
redis.call('HDEL', key, 'takes', 'progress')
if error ~= '' then redis.call('HSET', key, 'error', error) end
if options.alone then redis.call('HSET', key, 'alone', '1') end
if options.side_lane then
  own[3] = options.side_lane
  redis.call('HSET', key, 'lane', own[3])
  redis.call('HINCRBY', key, 'sidesteps', 1)
end
if options.denied then redis.call('HSET', key, 'denied', '1') end
if options.is_retry then redis.call('HINCRBY', key, 'retries', 1) end
count_idle(part, 1)
local counted_in = running_in(job[3], job[2], job[4])
if options.pause_ms > 0 then
  redis.call('HSET', key, 'place', 'delayed')
  redis.call('ZADD', root .. 'delayed', as_text(now + options.pause_ms), part)
  tell_queued(part, counted_in)
else
  back_to_lane(part, key, own[3], job[2] or '', own[4], counted_in)
end
return 'released'
