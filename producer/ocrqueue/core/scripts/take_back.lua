#!lua flags=allow-oom
-- uses: root, clock, as_text, batch_keys, places, page_parts
-- TAKE_BACK: of the parts in workers' hands, those that are paused and not begun go back to their places. A batch has
-- such parts: its jobs are begun one after the other.
-- ARGV root, cursor ('0' at first), how many are looked at in a step
-- returns {cursor of the next step, '0' after the last; how many went back}
local cursor, most = ARGV[2], ARGV[3]
local found = redis.call('ZSCAN', root .. 'leases', cursor, 'COUNT', most)
local went_back = 0

local function take_back(part)
  local key = part_key(part)
  local own = redis.call('HMGET', key, 'place', 'begun', 'token', 'holder', 'lane', 'sequence')
  if own[1] ~= 'hand' or own[2] or not own[5] then return end
  local job = redis.call('HMGET', record_key(job_of(part)), 'tenant', 'state', 'batch')
  local tenant = job[1] or ''
  if not is_paused(own[5], tenant) then return end
  let_go(part, key, own[3], own[4], own[2])
  redis.call('HDEL', key, 'takes')
  count_idle(part, 1)
  back_to_lane(part, key, own[5], tenant, own[6], running_in(job[2], job[1], job[3]))
  went_back = went_back + 1
end

for number = 1, #found[2], 2 do take_back(found[2][number]) end
return {found[1], went_back}
