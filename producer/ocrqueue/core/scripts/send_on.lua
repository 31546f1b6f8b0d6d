#!lua flags=allow-oom
-- uses: root, clock, as_text, is_final, ended_ids, places, counts, inputs
-- uses: batch_keys, job_lists, webhooks, batches, reservations, ending, page_parts, lines, attempts, leaving, usage
-- SEND_ON: the next engine of a job's route has its turn, or of the route that a page of it takes by itself. What goes
-- on is a new arrival in its lane.
-- ARGV root, part, token, options, job (JSON; of a page part, as it goes on with this page)
--   options: lane, kind, step (how many engines have had their turn), engine (that had the last one), pages (that it
--   has read), used (name -> number), cancelled
-- returns 'sent', 'cancelled', 'ended' or 'gone'
local part, token, options, job = ARGV[2], ARGV[3], cjson.decode(ARGV[4]), ARGV[5]
local key, record = part_key(part), record_key(job_of(part))
local own = redis.call('HMGET', key, 'token', 'holder', 'step', 'begun', 'attempts', 'worker', 'lane')
local of_job = redis.call('HMGET', record, 'state', 'cancel', 'tenant', 'batch')
if own[1] ~= token then
  if not of_job[1] or is_final(of_job[1]) then return 'ended' end
  -- the answer to this very question was lost
  return own[3] == as_text(options.step) and not own[1] and 'sent' or 'gone'
end
count_usage(of_job[3] or '', options.used)
let_go(part, key, token, own[2], own[4])
if of_job[2] then return leave_cancelled(part, options.cancelled) end
if own[4] then
  note_attempt(part, {number = own[5], started = own[4], worker = own[6], engine = engine_of(own[7])}, 'sent on')
end
local sequence = as_text(next_sequences(1))
redis.call('HSET', key, 'job', job, 'step', as_text(options.step), 'lane', options.lane, 'kind', options.kind,
  'sequence', sequence)
redis.call('HDEL', key, 'deliveries', 'progress', 'error', 'retries', 'alone', 'poison', 'sidesteps', 'denied')
if is_page_part(part) then
  count_pages(options.engine, options.pages)
elseif options.step > 0 then
  count_turn(options.engine, options.pages, nil)
end
count_idle(part, 1)
back_to_lane(part, key, options.lane, of_job[3] or '', sequence, running_in(of_job[1], of_job[3], of_job[4]))
return 'sent'
