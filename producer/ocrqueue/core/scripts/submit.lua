#!lua
-- uses: clock, as_text
--
-- Submits jobs in order, up to the first that finds its queue full. At its memory limit Redis refuses all.
--
-- KEYS  queued: the waiting jobs by time
-- ARGV  submission, as JSON; then the texts that it names by their number in ARGV:
--   life_ms          how long a waiting job's record is kept
--   once_life_ms     how long an idempotency key is kept
--   record_prefix    what stands before an id in a record's key
--   engines          by name: limit (how many jobs may wait, 0: any number); ended (key: jobs that ended lately);
--                    lanes (a list of keys: queue; grouped, what the queue's groups hold)
--   groups           a list: id; queue and grouped (keys); start and finish of its message; body_start and body_finish
--                    of the message's body
--   jobs             a list: id; engine; queue (key); json (number of the text); message (number of the text), or
--                    group (its number in groups, from 1); once (key), if it has an idempotency key
--
-- Returns {ids}: for each job the id of the job that stands for it. That is another's where an earlier job has its
-- idempotency key. If a job was refused, the ids are those before it, and there follow its engine, how many jobs wait
-- there, the time in ms, and the engine's counts of ended jobs {period, count, ...}.
local queued = KEYS[1]
local submission, texts = cjson.decode(ARGV[1]), ARGV

local life_ms, once_life_ms = as_text(submission.life_ms), as_text(submission.once_life_ms)

local waiting = {}
for name, engine in pairs(submission.engines) do
  waiting[name] = 0
  for _, lane in ipairs(engine.lanes) do
    local messages = redis.call('LLEN', lane.queue)
    if messages > 0 then
      waiting[name] = waiting[name] + messages + tonumber(redis.call('HGET', lane.grouped, 'total') or 0)
    else
      -- it may still count a message that was lost on its way to a worker
      redis.call('PEXPIRE', lane.grouped, 0)
    end
  end
end

local ids, refusal = {}, {}
-- by the number of the group: the JSON of those of its jobs that are new
local members = {}
for _, job in ipairs(submission.jobs) do
  local earlier = job.once and redis.call('GET', job.once)
  if earlier and redis.call('EXISTS', submission.record_prefix .. earlier) == 1 then
    table.insert(ids, earlier)
  else
    local record = submission.record_prefix .. job.id
    if redis.call('EXISTS', record) == 0 then
      local engine = submission.engines[job.engine]
      if engine.limit > 0 and waiting[job.engine] >= engine.limit then
        refusal = {job.engine, waiting[job.engine], as_text(now), redis.call('HGETALL', engine.ended)}
        break
      end
      if job.once then redis.call('SET', job.once, job.id, 'PX', once_life_ms) end
      redis.call('HSET', record, 'state', 'queued', 'job', texts[job.json], 'queued_at', as_text(now))
      redis.call('PEXPIRE', record, life_ms)
      if job.group then
        members[job.group] = members[job.group] or {}
        table.insert(members[job.group], texts[job.json])
      else
        redis.call('LPUSH', job.queue, texts[job.message])
      end
      redis.call('ZADD', queued, as_text(now), job.id)
      waiting[job.engine] = waiting[job.engine] + 1
    end
    table.insert(ids, job.id)
  end
end

for number, group in ipairs(submission.groups) do
  local jobs = members[number]
  if jobs then
    -- the jobs' JSON is joined as it is, and then quoted: the body is a text within the message
    local body = cjson.encode(group.body_start .. table.concat(jobs, ',') .. group.body_finish)
    redis.call('LPUSH', group.queue, group.start .. body .. group.finish)
    if #jobs > 1 then
      redis.call('HSET', group.grouped, group.id, as_text(#jobs - 1))
      redis.call('HINCRBY', group.grouped, 'total', as_text(#jobs - 1))
      redis.call('PEXPIRE', group.grouped, life_ms)
    end
  end
end
return {ids, unpack(refusal)}
