#!lua flags=allow-oom
-- uses: root, clock, as_text, is_final, ended_ids, places, counts, inputs
-- uses: batch_keys, job_lists, webhooks, batches, reservations, ending, page_parts, lines, attempts, leaving, usage
-- FINISH: an attempt at a part has come to its end, and with the last part the job.
-- ARGV root, part, token, ending (see shared/ending.lua; less its outcome), outcome (JSON), facts, record (JSON of the
--   fields that a record has from the start, where Redis may have lost it; else '')
--   facts: engine, pages (that it read), code (of the error, for a job that failed), used (name -> number),
--   lease_ms and next_token (for the closing part), error (JSON; of a page part that failed), cancelled
-- returns the state in which this token has ended the job: its first end stands; 'cancelled' also where that was asked
--   for; 'ended' if somebody else has ended the job; 'gone' if the part is another's; 'unknown' where Redis has lost
--   the job, and no record is given; of a page part 'done', or 'close': its worker is to gather the pages, with
--   next_token; 'stop' for a failure of a job that was asked to stop: nothing has happened, and it is to end as
--   cancelled. A result that is stored comes before a cancel.
local part, token, ending, outcome = ARGV[2], ARGV[3], cjson.decode(ARGV[4]), ARGV[5]
local facts, lost_record = cjson.decode(ARGV[6]), ARGV[7]
-- the record remembers who did: the answer may be lost, and the question asked again
ending.outcome, ending.ended_by = outcome, token
local id, key = job_of(part), part_key(part)
local record = record_key(id)

local job = redis.call('HMGET', record, 'state', 'tenant', 'cancel', 'closing', 'token', 'holder', 'begun',
  'ended_by')
if not job[1] then
  if is_page_part(part) or has_ended(id) then return 'gone' end
  if lost_record == '' then return 'unknown' end
  -- nobody else can have the part: what it came to is told all the same
  local fields = cjson.decode(lost_record)
  for name, value in pairs(fields) do redis.call('HSET', record, name, value) end
  if fields.batch then join_batch(id, fields.tenant, fields.batch, as_text(1000 * now)) end
  redis.call('HSET', record, 'queued_at', as_text(now), 'started_at', as_text(now))
  return end_job(id, ending)
end
if is_final(job[1]) then return job[8] == token and job[1] or 'ended' end
local own = {job[5], job[6], job[7]}
if is_page_part(part) then own = redis.call('HMGET', key, 'token', 'holder', 'begun', 'attempts', 'worker') end
if own[1] ~= token then
  -- the answer to this very question was lost
  if is_page_part(part) then return job[5] == facts.next_token and 'close' or own[1] and 'gone' or 'done' end
  return 'gone'
end
if not is_page_part(part) and job[3] and ending.state == 'failed' then return 'stop' end
-- of a job that was split, its page parts count the pages and their cost, and its closing part the job
if is_page_part(part) then facts.used.jobs = 0 end
if job[4] then facts.used.pages, facts.used.cost = 0, 0 end
count_usage(job[2] or '', facts.used)
if not is_page_part(part) then
  end_lease(part, token, own[2], own[3])
  count_turn(facts.engine, job[4] and 0 or facts.pages, facts.code)
  return end_job(id, ending)
end
let_go(part, key, token, own[2], own[3])
if job[3] then return leave_cancelled(part, facts.cancelled) end
count_pages(facts.engine, facts.pages)
local attempt = {number = own[4], started = own[3], worker = own[5], engine = facts.engine}
note_attempt(part, attempt, facts.error == '' and 'succeeded' or 'failed', facts.error)
local left = page_part_done(part, facts.error)
tell_progress(id, left)
if left > 0 then return 'done' end
-- to be taken by itself, should it ever wait in the lane; this is its first delivery
redis.call('HSET', record, 'place', 'hand', 'closing', '1', 'alone', '1', 'token', facts.next_token, 'holder', own[2],
  'begun', as_text(now), 'deliveries', '1')
redis.call('ZADD', root .. 'leases', as_text(now + facts.lease_ms), id)
return 'close'
