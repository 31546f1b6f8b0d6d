#!lua flags=allow-oom
-- uses: root, clock, as_text, is_final, places, inputs
-- CLAIM_REMOVAL: what nobody refers to is the caller's to remove from storage, for a while. Some 100 at most.
-- ARGV root, token (random, of this call), for how long (ms), images [[name, id of a job whose reference is to end now,
--   or ''], ...], ids of jobs of which all that is stored is to go, ids of those of which only leftovers are
-- returns 1 or 0 for each image, then for each job: whether it is the caller's. An image that a job refers to is not,
--   nor are the results of a job that has a record, nor the leftovers of one that has not ended or is known to have
--   none, nor what somebody else removes.
local token, for_ms, images, jobs = ARGV[2], ARGV[3], cjson.decode(ARGV[4]), cjson.decode(ARGV[5])
local with_leftovers = cjson.decode(ARGV[6])
local answers = {}
local function claim(name, is_needed)
  local theirs = redis.call('GET', removal_key(name))
  local is_ours = not is_needed and (not theirs or theirs == token)
  if is_ours then redis.call('SET', removal_key(name), token, 'PX', for_ms) end
  answers[#answers + 1] = is_ours and 1 or 0
end

for _, image in ipairs(images) do
  local name, id = image[1], image[2]
  if id ~= '' then leave_input(name, id) end
  local referring = redis.call('ZRANGEBYSCORE', input_key(name), '(' .. as_text(now), '+inf', 'LIMIT', 0, 1)
  claim(name, #referring > 0)
end
for _, id in ipairs(jobs) do claim(id, redis.call('EXISTS', record_key(id)) == 1) end
for _, id in ipairs(with_leftovers) do
  local state = redis.call('HGET', record_key(id), 'state')
  claim(id, state and not is_final(state) or redis.call('SISMEMBER', root .. 'leftovers', id) == 0)
end
return answers
