#!lua
-- uses: root, clock, as_text, ended_ids, places, counts, ending, submission
-- TAKE_IN: exactly this entry leaves the list that a foreign app pushed it to, and is a job from then on.
-- ARGV root, list, message (the entry as it stands in the list), entry (as submit.lua has it, or '' to drop it), job
--   (JSON), ending (of a job that is refused, or '')
-- returns 'taken in', 'refused', 'known' (it is a job already, or has ended), 'dropped', or 'gone' (somebody else has
-- removed it)
local list, message, entry, job, ending = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
-- where PEEK saw it, at the end: who looked for it in all the list would hold Redis up
if not redis.call('LPOS', list, message, 'RANK', -1, 'MAXLEN', 1000) then return 'gone' end
redis.call('LREM', list, -1, message)
if entry == '' then return 'dropped' end
entry = cjson.decode(entry)
if is_known(entry.id) then return 'known' end
if ending ~= '' then
  redis.call('HSET', record_key(entry.id), unpack(record_of(entry, job, '0', 'done')))
  end_job(entry.id, cjson.decode(ending))
  return 'refused'
end
if add_job(entry, job, as_text(next_sequences(1))) then ring(entry.lane, entry.tenant or '') end
return 'taken in'
