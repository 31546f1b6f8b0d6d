-- Parts that end without a result of their own. Needs places, batch_keys, ending, page_parts, attempts.

-- Nobody works on the job any more, which was asked to stop: true once it has ended.
local function end_if_nobody_works_on(id, cancelled)
  if redis.call('SCARD', root .. 'open:' .. id) > 0 then return false end
  end_job(id, cancelled)
  return true
end

-- A part of a job that was asked to stop has left its worker's hand.
local function leave_cancelled(part, cancelled)
  local id = job_of(part)
  if is_page_part(part) then
    page_part_done(part, '')
    end_if_nobody_works_on(id, cancelled)
  else
    end_job(id, cancelled)
  end
  return 'cancelled'
end

-- A part that took its workers down with it, once too often.
local function leave_poisonous(part, poison)
  local id, key = job_of(part), part_key(part)
  local of_job = redis.call('HMGET', record_key(id), 'routed', 'tenant', 'state', 'batch', 'closing')
  local own = redis.call('HMGET', key, 'lane', 'poison', 'sequence')
  if of_job[1] and not own[2] and not of_job[5] then
    -- the next taker does not read it, and lets the next engine of its route have its turn
    redis.call('HSET', key, 'poison', '1')
    redis.call('HDEL', key, 'deliveries', 'takes')
    count_idle(part, 1)
    return back_to_lane(part, key, own[1], of_job[2] or '', own[3], running_in(of_job[3], of_job[2], of_job[4]))
  end
  if is_page_part(part) then
    local left = page_part_done(part, poison.error)
    tell_progress(id, left)
    if left == 0 then queue_closing_part(id) end
    return
  end
  local engine = engine_of(own[1])
  end_job(id, poison)
  count_turn(engine, 0, poison.code)
end

-- The worker of a part was lost: it has another delivery, or has had enough of them. Returns what became of it.
local function lose(part, policy)
  local id, key = job_of(part), part_key(part)
  local own = redis.call('HMGET', key, 'token', 'holder', 'begun', 'deliveries', 'takes', 'lane', 'sequence',
    'together', 'attempts', 'worker')
  let_go(part, key, own[1] or '', own[2], own[3])
  local job = redis.call('HMGET', record_key(id), 'state', 'cancel', 'tenant', 'batch')
  if not job[1] or is_final(job[1]) then return 'ended' end
  if job[2] then return leave_cancelled(part, policy.cancelled) end
  if own[3] then
    note_attempt(part, {number = own[9], started = own[3], worker = own[10], engine = engine_of(own[6])}, 'lost')
  end
  if own[3] and own[8] then
    -- any of those it was read with may have been the cause: it does not count, and shows by itself who it was
    own[4] = redis.call('HINCRBY', key, 'deliveries', -1)
    redis.call('HSET', key, 'alone', '1')
  end
  if own[3] and tonumber(own[4] or 0) >= policy.delivery_cap then
    leave_poisonous(part, policy.poison)
    return 'poison'
  end
  if not own[3] and tonumber(own[5] or 0) >= policy.take_cap then
    leave_poisonous(part, policy.never_begun)
    return 'poison'
  end
  redis.call('HDEL', key, 'progress')
  count_idle(part, 1)
  back_to_lane(part, key, own[6], job[3] or '', own[7], running_in(job[1], job[3], job[4]))
  return 'requeued'
end
