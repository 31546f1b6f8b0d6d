#!lua
-- uses: root, clock, as_text, is_final, ended_ids, places, inputs, batch_keys, job_lists
-- uses: webhooks, batches, lines, attempts, audit
-- REPLAY: jobs that have failed go into their first engine's lane again, under their ids.
-- ARGV root, run (see shared/audit.lua), entries (JSON: [[id, lane, kind, engine that had the last
--   attempt], ...]), the JSON text of each job
-- returns for each 1, also where it has been replayed and has not ended since, or 0 if it has not failed
local run, entries, texts = ARGV[2], cjson.decode(ARGV[3]), {unpack(ARGV, 4)}

local function replay(id, lane, kind, engine, job)
  local record = record_key(id)
  local state, replayed, outcome, history, tenant, tag, input, batch = unpack(redis.call('HMGET', record, 'state',
    'replayed', 'outcome', 'history', 'tenant', 'tag', 'input', 'batch'))
  local code, attempts, first, restarted, worker = unpack(redis.call('HMGET', record, 'code', 'attempts',
    'started_at', 'restarted_at', 'worker'))
  -- the answer to this very question may have been lost
  if state ~= 'failed' then return state and replayed and not is_final(state) and 1 or 0 end
  redis.call('ZREM', state_list('failed'), with_names(id, tenant, code, tag, batch))
  list_by_names(id, tenant, tag)
  local sequence = as_text(next_sequences(1))
  local error = outcome and string.match(outcome, '"error":({.*})}$')
  local attempt = {number = attempts, started = restarted or first, worker = worker, engine = engine}
  note_attempt(id, attempt, 'replayed', error)
  -- started_at stays until it has another: deletion looks there whether anything may be stored
  redis.call('HDEL', record, 'step', 'outcome', 'finished_at', 'restarted_at', 'attempts', 'queue_wait_ms', 'parts',
    'pin', 'poison', 'code', 'sidesteps', 'denied', 'replication', 'own_result')
  redis.call('HSET', record, 'state', 'queued', 'place', 'waiting', 'queued_at', as_text(now), 'history',
    with_line(history, outcome, 20), 'job', job, 'lane', lane, 'kind', kind, 'sequence', sequence, 'replayed', '1')
  redis.call('PERSIST', record)
  if batch then return_to_batch(id, tenant, batch, sequence) end
  redis.call('ZREM', root .. 'dead', id)
  redis.call('SREM', root .. 'leftovers', id)
  is_to_live_again(id, tenant)
  if input then refer_to_input(input_of(job), id) end
  put_in_lane(id, lane, tenant or '', sequence)
  ring(lane, tenant or '')
  tell(id, 'queued')
  count_for(run, 1)
  return 1
end

local answers = {}
for number, entry in ipairs(entries) do
  local id, lane, kind, engine = unpack(entry)
  answers[number] = replay(id, lane, kind, engine, texts[number])
end
return answers
