#!lua
-- uses: root, clock, as_text, ended_ids, places, counts, inputs, batch_keys
-- uses: job_lists, webhooks, batches, reservations, ending, submission
-- TAKE_IN: exactly this entry leaves the list that a foreign app pushed it to, and is a job from then on.
-- ARGV root, list (or '' for a message of another server, which stays there), message (the entry as it stands in the
--   list), entry (as submit.lua has it, or '' to drop it), job (JSON), ending (of a job that is not to be worked on, or
--   '')
-- returns 'taken in', the state in which it has ended, 'known' (it is a job already, or has ended), 'dropped', 'gone'
-- (somebody else has removed it), or 'revoked' or 'batch closed', with nothing done: the job is to be given its ending
local list, message, entry, job, ending = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local revoked
local function remove()
  if revoked then redis.call('DEL', revoked) end
  if list ~= '' then redis.call('LREM', list, -1, message) end
end

-- where PEEK saw it, at the end: who looked for it in all the list would hold Redis up
if list ~= '' and not redis.call('LPOS', list, message, 'RANK', -1, 'MAXLEN', 1000) then return 'gone' end
if entry == '' then
  remove()
  return 'dropped'
end
entry = cjson.decode(entry)
local mark = root .. 'revoked:' .. entry.id
local is_there = has_ended(entry.id)
if not is_there and redis.call('EXISTS', record_key(entry.id), mark) > 0 then
  is_there = redis.call('EXISTS', record_key(entry.id)) == 1
  if not is_there and ending == '' then return 'revoked' end
  revoked = mark
end
if entry.batch and not is_there and is_batch_closed(entry.tenant, entry.batch) then
  if ending == '' then return 'batch closed' end
  entry.batch = nil
end
if is_there then
  remove()
  return 'known'
end
-- The message leaves its list last, and the mark of a revoked one with it. Where others have put something else at a
-- key, Redis ends the script there, and what it has written stays: it is to be a job or a message, and who asks again
-- hears that it is known. So a job that ends here has its record after its names: one without the rest of its end would
-- be known, and nobody would be told of it.
if ending ~= '' then
  list_by_names(entry.id, entry.tenant, entry.tag)
  if entry.batch then join_batch(entry.id, entry.tenant, entry.batch, as_text(next_sequences(1))) end
  redis.call('HSET', record_key(entry.id), unpack(record_of(entry, job, '0', 'done')))
  local state = end_job(entry.id, cjson.decode(ending))
  remove()
  return state
end
local waits = add_job(entry, job, as_text(next_sequences(1)))
remove()
if waits then ring(entry.lane, entry.tenant or '') end
return 'taken in'
