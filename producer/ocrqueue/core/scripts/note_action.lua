#!lua flags=allow-oom
-- uses: root
-- NOTE_ACTION: lines of the audit about what an operator does. Deleting and draining are remedies for a full Redis.
-- ARGV root, field, value, ... (see audit.py)
-- returns how many fields the audit has
local fields = {unpack(ARGV, 2)}
redis.call('HSET', root .. 'audit', unpack(fields))
return redis.call('HLEN', root .. 'audit')
