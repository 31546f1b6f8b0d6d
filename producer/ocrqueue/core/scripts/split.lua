#!lua flags=allow-oom
-- uses: root, clock, as_text, is_final, ended_ids, places, counts, inputs
-- uses: batch_keys, job_lists, webhooks, batches, reservations, ending, page_parts, lines, attempts, leaving
-- SPLIT: the opening part has seen that the job has so many page parts, which take its place in the lane.
-- ARGV root, part (the opening one), token, how many page parts, pin (the source's sha256 or ETag), cancelled (the
--   ending of a job that was asked to stop)
-- returns 'split', also where it was before; 'changed' if it was with another pin; 'cancelled', 'ended' or 'gone'
local part, token, parts, pin, cancelled = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], cjson.decode(ARGV[6])
local record = record_key(part)
local own = redis.call('HMGET', record, 'state', 'token', 'holder', 'parts', 'pin', 'lane', 'cancel', 'begun',
  'tenant')
if not own[1] or is_final(own[1]) then return 'ended' end
if own[4] then return own[5] == pin and 'split' or 'changed' end
if own[2] ~= token then return 'gone' end
let_go(part, record, token, own[3], own[8])
-- its page parts would never come into the lane
if own[7] then return leave_cancelled(part, cancelled) end
redis.call('HSET', record, 'place', 'split', 'parts', as_text(parts), 'open', as_text(parts), 'next_part', '1',
  'pin', pin, 'progress', '0/' .. as_text(parts))
redis.call('HDEL', record, 'deliveries', 'takes', 'retries', 'alone')
for _ = 1, math.min(parts, most_waiting) do open_next_part(part) end
redis.call('ZADD', root .. 'split', as_text(now), part)
ring(own[6], own[9] or '')
tell(part, 'running 0/' .. as_text(parts))
return 'split'
