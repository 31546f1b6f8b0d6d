#!lua flags=allow-oom
-- uses: root, clock, as_text, is_final, ended_ids, places, counts, inputs
-- uses: batch_keys, job_lists, webhooks, batches, reservations, ending, page_parts, lines, attempts, leaving, usage
-- SEND_ON: the next engine of a job's route has its turn. The job is a new arrival in its lane.
-- ARGV root, part, token, options, job (JSON)
--   options: lane, kind, step (how many engines have had their turn), engine (that had the last one), pages (that it
--   has read), used (name -> number), cancelled
-- returns 'sent', 'cancelled', 'ended' or 'gone'
local part, token, options, job = ARGV[2], ARGV[3], cjson.decode(ARGV[4]), ARGV[5]
local record = part_key(part)
local own = redis.call('HMGET', record, 'token', 'holder', 'state', 'cancel', 'tenant', 'step', 'begun',
  'attempts', 'worker', 'lane', 'batch')
if own[1] ~= token then
  if not own[3] or is_final(own[3]) then return 'ended' end
  -- the answer to this very question was lost
  return own[6] == as_text(options.step) and not own[1] and 'sent' or 'gone'
end
count_usage(own[5] or '', options.used)
let_go(part, record, token, own[2], own[7])
if own[4] then return leave_cancelled(part, options.cancelled) end
if own[7] then
  note_attempt(part, {number = own[8], started = own[7], worker = own[9], engine = engine_of(own[10])}, 'sent on')
end
local sequence = as_text(next_sequences(1))
redis.call('HSET', record, 'job', job, 'step', as_text(options.step), 'lane', options.lane, 'kind', options.kind,
  'sequence', sequence)
redis.call('HDEL', record, 'deliveries', 'progress', 'error', 'retries', 'alone', 'poison', 'sidesteps', 'denied')
if options.step > 0 then count_turn(options.engine, options.pages, nil) end
back_to_lane(part, record, options.lane, own[5] or '', sequence, running_in(own[3], own[5], own[11]))
return 'sent'
