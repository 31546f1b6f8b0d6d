-- A new job comes into its lane, or into its pause. Needs places, inputs, job_lists, batches,
-- reservations. `entry`: see submit.lua.
local function record_of(entry, job, sequence, place)
  local fields = {'state', 'queued', 'place', place, 'job', job, 'queued_at', as_text(now), 'lane', entry.lane,
    'sequence', sequence, 'kind', entry.kind}
  local names = {'tenant', 'tag', 'batch', 'reply_to', 'webhook', 'by_name', 'routed', 'trace', 'replication'}
  for _, name in ipairs(names) do
    if entry[name] then
      fields[#fields + 1] = name
      fields[#fields + 1] = entry[name]
    end
  end
  if entry.input then
    fields[#fields + 1] = 'input'
    fields[#fields + 1] = '1'
  end
  if entry.secret and place ~= 'done' then
    fields[#fields + 1] = 'secret'
    fields[#fields + 1] = '1'
  end
  return fields
end

-- Returns whether it waits: false if its time has not come.
local function add_job(entry, job, sequence)
  local record = record_key(entry.id)
  local due_at = entry.not_before_ms or 0
  local place = due_at > now and 'delayed' or 'waiting'
  local fields = record_of(entry, job, sequence, place)
  local reserved = reserve(entry.tenant or '', entry.page_cost)
  if reserved then
    fields[#fields + 1] = 'reserved'
    fields[#fields + 1] = reserved
  end
  redis.call('HSET', record, unpack(fields))
  if entry.secret then redis.call('SET', root .. 'secret:' .. entry.id, entry.secret) end
  if entry.input then refer_to_input(entry.input, entry.id) end
  list_by_names(entry.id, entry.tenant, entry.tag)
  if entry.batch then join_batch(entry.id, entry.tenant, entry.batch, sequence) end
  if place == 'delayed' then
    redis.call('ZADD', root .. 'delayed', as_text(due_at), entry.id)
    return false
  end
  put_in_lane(entry.id, entry.lane, entry.tenant or '', sequence)
  return true
end

-- Whether the id is known: one that has ended stays so, also when its record is gone.
local function is_known(id)
  return redis.call('EXISTS', record_key(id)) == 1 or has_ended(id)
end
