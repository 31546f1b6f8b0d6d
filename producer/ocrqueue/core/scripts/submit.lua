#!lua
-- uses: root, clock, as_text, ended_ids, places, inputs, batch_keys, job_lists, replication
-- uses: webhooks, batches, reservations, submission, month_of, token_bucket, tenant_limits
-- SUBMIT: jobs into their lanes, in order, up to the first that finds its engine's queue full, its tenant's limit
-- reached, or its batch closed.
-- ARGV root, options, entries, and the JSON text of each job
--   options: idempotency_ttl_ms, limits (engine -> how many may wait; 0: any number)
--   entry: id, engine, lane, kind, and where it has one: tenant, tag, batch, reply_to, webhook, once (hash of the
--   idempotency key), fingerprint (of the request), input (name of an uploaded image), trace, by_name, not_before_ms,
--   new (its id was made for this), secret (a password), page_cost (what its dearest engine takes for a page)
-- returns {ids of the jobs that stand for those submitted}, and if one was refused: its engine, how many wait there,
-- now (ms), {period, jobs ended in it, ...}, and where it is a limit of its tenant's, the tenant and what
-- shared/tenant_limits.lua says of it; or its batch, which is closed
local options, entries, texts = cjson.decode(ARGV[2]), cjson.decode(ARGV[3]), {unpack(ARGV, 4)}
local ids, refusal, waiting, has_rung, closed = {}, {}, {}, {}, {}
local sequence = next_sequences(#entries)
local replication = known_replication()

local function waiting_for(engine)
  if not waiting[engine] then
    waiting[engine] = 0
    for _, ending in ipairs({'.high', '', '.low'}) do
      local lane = 'ocr.' .. engine .. ending
      waiting[engine] = waiting[engine] + tonumber(redis.call('HGET', root .. 'waiting', lane) or 0)
    end
  end
  return waiting[engine]
end

local function refused(engine, limit)
  local wait = {engine, waiting_for(engine), as_text(now), redis.call('HGETALL', root .. 'ended:' .. engine)}
  for _, fact in ipairs(limit) do wait[#wait + 1] = fact end
  return wait
end

local function is_in_closed_batch(entry)
  if not entry.batch then return false end
  local key = batch_key(entry.tenant, entry.batch)
  if closed[key] == nil then closed[key] = is_batch_closed(entry.tenant, entry.batch) end
  return closed[key]
end

local function earlier_job(entry)
  local earlier = entry.once and redis.call('GET', root .. 'once:' .. entry.once)
  local id = earlier and string.match(earlier, '^%S+')
  -- whoever deletes a job whose record had expired does not know its key
  if id and is_known(id) and not was_deleted(id) then return id end
  return is_known(entry.id) and entry.id or nil
end

-- There is a job of this id, submitted before, and the image is its own.
local function has_image(id, name)
  local job = redis.call('HGET', record_key(id), 'job')
  return job and input_of(job) == name
end

for number, entry in ipairs(entries) do
  local id, engine = earlier_job(entry), entry.engine
  if not id then
    local limit = options.limits[engine] or 0
    if limit > 0 and waiting_for(engine) >= limit then
      refusal = refused(engine, {})
      break
    end
    local reached = reached_limit(entry.tenant or '', entry.page_cost)
    if reached then
      refusal = refused(engine, {entry.tenant or '', unpack(reached)})
      break
    end
    if is_in_closed_batch(entry) then
      refusal = {entry.batch}
      break
    end
    id = entry.id
    if entry.once then
      redis.call('SET', root .. 'once:' .. entry.once, id .. ' ' .. entry.fingerprint,
        'PX', as_text(options.idempotency_ttl_ms))
    end
    if entry.new then entry.replication = replication end
    local waits, tenant = add_job(entry, texts[number], as_text(sequence + number - 1)), entry.tenant or ''
    if waits and not is_paused(entry.lane, tenant) and not has_rung[entry.lane] then
      -- now, for what is added next may break off the script; whoever hears it comes when the script has ended
      ring(entry.lane, tenant)
      has_rung[entry.lane] = true
    end
    if waiting[engine] then waiting[engine] = waiting[engine] + 1 end
    use_allowance(tenant, entry.page_cost)
  end
  -- its image was uploaded for it, and another job stands for it
  if entry.input and id ~= entry.id and not has_image(entry.id, entry.input) then leave_input(entry.input, entry.id) end
  ids[number] = id
end
keep_allowances()
return {ids, unpack(refusal)}
