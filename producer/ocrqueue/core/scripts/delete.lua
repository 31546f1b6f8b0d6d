#!lua flags=allow-oom
-- uses: root, clock, as_text, is_final, ended_ids, places, batch_keys, job_lists, webhooks
-- uses: ending_notices, audit
-- DELETE: of jobs that have ended nothing is remembered but that they have. What they have in storage is to go.
-- ARGV root, run (see shared/audit.lua), for how long an end is remembered (ms), entries (JSON: [[id, hash of the
--   idempotency key or '', name of an uploaded image or ''], ...])
-- returns for each 'deleted', also where only the end was remembered; 'forgotten' where there is nothing in storage;
--   'gone' where it was deleted before; the state of a job at work; 'unknown'
local run, ended_ttl_ms, entries = ARGV[2], tonumber(ARGV[3]), cjson.decode(ARGV[4])
local jobs = 0

local function forget_readings(id, keys)
  for key in string.gmatch(keys, '%S+') do
    local uri = redis.call('GET', root .. 'read:' .. key)
    if uri and string.find(uri, '/' .. id .. '/', 1, true) then redis.call('DEL', root .. 'read:' .. key) end
  end
end

local function forget_notices(id)
  for _, notice in ipairs(redis.call('ZRANGE', notices_of(id), 0, -1)) do forget_notice(notice) end
  redis.call('DEL', notices_of(id))
end

local function delete(id, once, input)
  local state, tenant, code, tag, by_name, read, begun, batch = unpack(redis.call('HMGET', record_key(id), 'state',
    'tenant', 'code', 'tag', 'by_name', 'read', 'started_at', 'batch'))
  if not state and was_deleted(id) then return 'gone' end
  if not state and not has_ended(id) then return 'unknown' end
  if state and not is_final(state) then return state end
  if state then
    unlist_entry(state, with_names(id, tenant, code, tag, batch))
    if by_name then redis.call('DEL', string.sub(root, 1, -10) .. 'celery-task-meta-' .. by_name) end
    if read then forget_readings(id, read) end
    redis.call('DEL', record_key(id))
  end
  local earlier = once ~= '' and redis.call('GET', root .. 'once:' .. once)
  if earlier and string.match(earlier, '^%S+') == id then redis.call('DEL', root .. 'once:' .. once) end
  forget_notices(id)
  remember_deleted(id, ended_ttl_ms)
  remember_tenant(id, tenant, ended_ttl_ms)
  jobs = jobs + 1
  redis.call('ZREM', root .. 'dead', id)
  redis.call('SREM', root .. 'leftovers', id)
  if state and not begun and input == '' then return 'forgotten' end
  redis.call('ZADD', root .. 'deleted', as_text(now), id .. ' ' .. input)
  return 'deleted'
end

local answers = {}
for number, entry in ipairs(entries) do answers[number] = delete(unpack(entry)) end
count_for(run, jobs)
return answers
