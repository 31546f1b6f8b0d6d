-- The one end of every job, whoever ends it. Needs `root`, `now`, as_text, is_final, record_key, tell, the counts,
-- inputs, job_lists, webhooks, batches, reservations.
--
-- `ending`: state; outcome (JSON); life_ms, of the record; ended_ttl_ms, of the memory of its end; dead, if a replay
-- may help; code, of the error of a job that failed; celery_result (JSON, with @TASK_ID@ in it) and celery_life_ms,
-- for a job that came by name; reply, the message for the job's reply queue; ended_by, the token of the attempt that
-- ends it. Where `is_template`, the texts hold names such as @ID@ in place of what is the job's own.
local function filled(ending, name, id, reply_to)
  if not ending.is_template then return ending[name] end
  local own = {ID = id, REPLY = reply_to, TASK = id .. '-' .. as_text(now)}
  return (string.gsub(ending[name], '@(%u+)@', own))
end

-- The task id need not be the job's.
local function answer_celery(id, task_id, ending)
  local key = string.sub(root, 1, -10) .. 'celery-task-meta-' .. task_id
  -- a function, for gsub gives a meaning to % in a text
  local function own() return '"task_id":' .. cjson.encode(task_id) end
  local result = string.gsub(filled(ending, 'celery_result', id), '"task_id":"@TASK_ID@"', own)
  redis.call('SET', key, result, 'PX', as_text(ending.celery_life_ms))
  redis.call('PUBLISH', key, result)
end

local function end_job(id, ending)
  local record = record_key(id)
  local reply_to, by_name, begun, parts, input, tenant, tag, batch, was, secret, webhook, reserved = unpack(
    redis.call('HMGET', record, 'reply_to', 'by_name', 'started_at', 'parts', 'input', 'tenant', 'tag', 'batch',
      'state', 'secret', 'webhook', 'reserved'))
  local outcome = filled(ending, 'outcome', id)
  local said, gone = {}, {}
  for _, name in ipairs({'code', 'ended_by'}) do
    if ending[name] then
      said[#said + 1] = name
      said[#said + 1] = ending[name]
    else
      gone[#gone + 1] = name
    end
  end
  -- of one that was cancelled nothing else tells how far it came
  if ending.state ~= 'cancelled' then gone[#gone + 1] = 'progress' end
  redis.call('HSET', record, 'state', ending.state, 'outcome', outcome, 'finished_at', as_text(now),
    'place', 'done', unpack(said))
  redis.call('HDEL', record, 'cancel', 'deliveries', 'takes', 'begun', 'token', 'holder', 'together',
    'error', 'retries', 'lane', 'sequence', 'alone', 'poison', unpack(gone))
  redis.call('PEXPIRE', record, as_text(ending.life_ms))
  if secret then
    redis.call('DEL', root .. 'secret:' .. id)
    redis.call('HDEL', record, 'secret')
  end
  if reserved then
    end_reservation(tenant or '', reserved)
    redis.call('HDEL', record, 'reserved')
  end
  if parts then
    redis.call('HDEL', record, 'open', 'next_part', 'idle', 'closing')
    redis.call('DEL', root .. 'parts:' .. id, root .. 'open:' .. id)
    redis.call('ZREM', root .. 'split', id)
  end
  list_ended(id, tenant, ending.code, tag, ending.state, batch)
  if input then
    local until_ms = now + ending.life_ms + hour_ms
    refer_to_input(input_of(redis.call('HGET', record, 'job')), id, until_ms)
  end
  remember_ended(id, ending.ended_ttl_ms)
  remember_tenant(id, tenant, ending.ended_ttl_ms)
  -- what its attempts have stored no result names: whoever is on duty removes it
  if begun and (ending.state == 'failed' or ending.state == 'cancelled') then
    redis.call('SADD', root .. 'leftovers', id)
  end
  if ending.dead then redis.call('ZADD', root .. 'dead', as_text(now), id) end
  if by_name and ending.celery_result then answer_celery(id, by_name, ending) end
  if reply_to and ending.reply then
    -- where that key of theirs is no list, nobody listens there, and the job has ended all the same
    redis.pcall('LPUSH', string.sub(root, 1, -10) .. reply_to, filled(ending, 'reply', id, reply_to))
  end
  notify_of_job(id, tenant or '', webhook, outcome)
  if batch then count_in_batch(tenant, batch, was, ending.state, ending.life_ms) end
  tell(id, ending.state)
  return ending.state
end

-- What an engine's turn came to: jobs and pages, and the error of a job that failed.
local function count_turn(engine, pages, code)
  count_lately(root .. 'ended:' .. engine, 1)
  count_pages(engine, pages)
  count_in_minute(engine, 'ended', 1)
  if code then
    count_lately(root .. 'errors:' .. engine, 1, code)
    count_in_minute(engine, 'failed', 1)
  end
end
