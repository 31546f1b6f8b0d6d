#!lua flags=allow-oom
-- uses: root, clock, as_text, is_final, places, counts, batch_keys, replication
-- BEGIN: the attempt at a part that was taken.
-- ARGV root, part, token, worker's name, engine
-- returns {verdict, attempt, wait from submission (ms), retries, stored, page parts, pin}:
--   'run', or 'ended' and 'gone', if the part is no longer its taker's. Of a job that was not split the last two are
--   0 and ''.
--   stored: 1 if a result may be stored already, 2 where that is being removed at this moment
local part, token, worker, engine = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local key, record = part_key(part), record_key(job_of(part))
local own = redis.call('HMGET', key, 'place', 'token', 'begun', 'attempts', 'retries', 'holder', 'deliveries',
  'queued_at', 'queue_wait_ms', 'replication', 'parts', 'pin', 'state', 'tenant', 'batch')
if own[1] ~= 'hand' or own[2] ~= token then
  local state = redis.call('HGET', record, 'state')
  return {state and not is_final(state) and 'gone' or 'ended', 0, 0, 0, 0, 0, ''}
end
local job = {unpack(own, 8, 15)}
if is_page_part(part) then
  job = redis.call('HMGET', record, 'queued_at', 'queue_wait_ms', 'replication', 'parts', 'pin', 'state', 'tenant',
    'batch')
end
local attempt, queued_at = tonumber(own[4] or 0), tonumber(job[1])
if not own[3] then
  -- counted here and not when it is taken: whoever was lost before this met nothing that the part could have done
  attempt = attempt + 1
  -- the first start since its submission, or since it was replayed
  local started = 'restarted_at'
  if not job[2] then
    started = 'started_at'
    job[2] = as_text(math.max(0, now - queued_at))
    count_wait(engine, tonumber(job[2]))
  end
  local of_part = {'attempts', as_text(attempt), 'deliveries', as_text((own[7] or 0) + 1), 'begun', as_text(now)}
  if is_page_part(part) then
    redis.call('HSET', key, 'worker', worker, unpack(of_part))
    of_part = {}
  end
  if job[8] and job[6] ~= 'running' then redis.call('HINCRBY', batch_key(job[7], job[8]), 'running', 1) end
  redis.call('HSET', record, 'state', 'running', started, as_text(now), 'worker', worker, 'queue_wait_ms', job[2],
    unpack(of_part))
  redis.call('HDEL', key, 'takes', 'error', 'progress')
  redis.call('HDEL', root .. 'hand:' .. own[6], token)
  tell(job_of(part), 'running')
end
-- Nothing is, where the id was made for this submission, and Redis has lost nothing since: of any other a life that
-- nobody remembers may have stored one.
local may_be_stored = attempt > 1 or not job[3] or job[3] ~= known_replication()
local stored = may_be_stored and 1 + redis.call('EXISTS', root .. 'removal:' .. job_of(part)) or 0
return {'run', attempt, tonumber(job[2] or 0), tonumber(own[5] or 0), stored, tonumber(job[4] or 0), job[5] or ''}
