#!lua flags=allow-oom
-- SET_ASIDE: exactly this entry, of which TAKE_IN can make no job, leaves the list that a foreign app pushed it to, for
-- one that nobody takes from.
-- ARGV list, message (the entry as it stands in the list), the other list
-- returns 'set aside', or 'gone' (somebody else has removed it)
local list, message, aside = ARGV[1], ARGV[2], ARGV[3]
-- where PEEK saw it, at the end: who looked for it in all the list would hold Redis up
if not redis.call('LPOS', list, message, 'RANK', -1, 'MAXLEN', 1000) then return 'gone' end
redis.call('LPUSH', aside, message)
redis.call('LREM', list, -1, message)
return 'set aside'
