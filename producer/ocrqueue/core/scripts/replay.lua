#!lua
-- uses: root, clock, as_text, is_final, ended_ids, places, inputs
-- REPLAY: a dead letter goes into its first engine's lane again, under its id.
-- ARGV root, id, options (lane, kind), job (JSON)
-- returns 1, also where it has been replayed and has not ended since, or 0 if it is none
local id, options, job = ARGV[2], cjson.decode(ARGV[3]), ARGV[4]
local record = record_key(id)
if redis.call('ZREM', root .. 'dead', id) == 0 then
  -- the answer to this very question may have been lost
  local state, replayed = unpack(redis.call('HMGET', record, 'state', 'replayed'))
  return state and replayed and not is_final(state) and 1 or 0
end
local known = redis.call('HMGET', record, 'outcome', 'history', 'tenant', 'input')
if not known[1] then return 0 end
local history = known[2] and (string.sub(known[2], 1, -2) .. ',' .. known[1] .. ']') or ('[' .. known[1] .. ']')
local sequence = as_text(next_sequences(1))
redis.call('HDEL', record, 'step', 'outcome', 'finished_at', 'attempts', 'queue_wait_ms', 'parts', 'pin', 'poison',
  'replication')
redis.call('HSET', record, 'state', 'queued', 'place', 'waiting', 'queued_at', as_text(now), 'history', history,
  'job', job, 'lane', options.lane, 'kind', options.kind, 'sequence', sequence, 'replayed', '1')
redis.call('PERSIST', record)
redis.call('SREM', root .. 'leftovers', id)
is_to_live_again(id)
if known[4] then refer_to_input(input_of(job), id) end
put_in_lane(id, options.lane, known[3] or '', sequence)
ring(options.lane)
tell(id, 'queued')
return 1
