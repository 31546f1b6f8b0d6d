#!lua flags=allow-oom
-- uses: root, clock, as_text, batch_keys, job_lists
-- FIND: jobs in a list that are as is asked, from a place in it on. Entries of jobs whose record has expired go.
-- ARGV root, list (a key, less root), options
--   options: newest (first; else the oldest), look_at (records at most), most (jobs at most), after (score and member
--   of the entry after which to begin), since_ms, until_ms (of the submission), and, for what is asked: tag, tenant
--   ('' for jobs without one), batch, states (state -> true), not_states (the same, of those that are not meant), code
--   (of the error)
-- returns {score, member} of the last entry looked at, {} where none is left; then for each job its id, its score and
--   member in the list, its state, and 1 where it is asked to stop
local list, options = ARGV[2], cjson.decode(ARGV[3])
local key = root .. list
local state_of_list = string.match(list, '^by_state:(.*)$')
local is_of_places = list == 'leases' or list == 'delayed' or string.sub(list, 1, 6) == 'queue:'
-- in others the score is the time since which a job is what it is
local is_by_time = not is_of_places and string.sub(list, 1, 9) ~= 'by_batch:'

-- As Redis orders members: by bytes, whatever its locale.
local function is_below(one, other)
  for position = 1, math.min(#one, #other) do
    local first, second = string.byte(one, position), string.byte(other, position)
    if first ~= second then return first < second end
  end
  return #one < #other
end

-- How many entries come before the place of one that is not there; `before` of them have another score than it. Few
-- jobs have a score in common: those that were submitted, or have ended, in one step.
local function seen_of_score(before, score, member)
  while true do
    local command = {'ZRANGE', key, as_text(before), as_text(before)}
    if options.newest then command[#command + 1] = 'REV' end
    command[#command + 1] = 'WITHSCORES'
    local entry, its = unpack(redis.call(unpack(command)))
    if its ~= score then return before end
    if options.newest and is_below(entry, member) or not options.newest and is_below(member, entry) then
      return before
    end
    before = before + 1
  end
end

-- How many entries come before the place to begin at.
local function already_seen()
  local after = options.after
  if after then
    local rank = redis.call(options.newest and 'ZREVRANK' or 'ZRANK', key, after[2])
    if rank and redis.call('ZSCORE', key, after[2]) == after[1] then return rank + 1 end
    local before = options.newest and redis.call('ZCOUNT', key, '(' .. after[1], '+inf')
      or redis.call('ZCOUNT', key, '-inf', '(' .. after[1])
    return seen_of_score(before, after[1], after[2])
  end
  if options.since_ms and not options.newest and is_by_time then
    return redis.call('ZCOUNT', key, '-inf', '(' .. as_text(options.since_ms))
  end
  return 0
end

local forgotten = {}

local function forget(entry)
  if state_of_list then
    unlist_entry(state_of_list, entry)
  elseif not is_of_places then
    redis.call('ZREM', key, entry)
  end
end

-- Which of its words each of them is can be looked at later.
local words = {}
for _, word in ipairs({options.code or '', options.tenant or '', options.batch or '', options.tag or ''}) do
  if word ~= '' then words[#words + 1] = word end
end

-- Whether what its entry says of it already rules the job out.
local function is_ruled_out(entry)
  if is_of_places then return string.find(entry, ':', 1, true) ~= nil end
  if not state_of_list then return false end
  for _, word in ipairs(words) do
    if not string.find(entry, word, 1, true) then return true end
  end
  local _, tenant, code, tag, batch = names_in(entry)
  return options.tenant and options.tenant ~= tenant or options.tag and options.tag ~= tag
    or options.code and options.code ~= code or options.batch and options.batch ~= batch
end

-- The fields that are looked at, the fewer the better: Redis searches the whole of a record for each.
local fields = {'state', 'cancel'}
if options.tenant then fields[#fields + 1] = 'tenant' end
if options.tag then fields[#fields + 1] = 'tag' end
if options.code then fields[#fields + 1] = 'code' end
if options.batch then fields[#fields + 1] = 'batch' end
if options.since_ms or options.until_ms then fields[#fields + 1] = 'queued_at' end
if options.since_ms then fields[#fields + 1] = 'finished_at' end
if is_of_places then fields[#fields + 1] = 'parts' end

-- What may rule a job out and is not said by its place in this list. One field is found sooner than all of them.
local deciding
for _, name in ipairs(state_of_list and {} or {'tag', 'tenant', 'batch'}) do
  local kind = string.match(list, '^by_(%a+):')
  local is_said = kind == name or kind == 'batch' and name == 'tenant'
  if (options[name] or '') ~= '' and not is_said then deciding = name end
end

-- Whether a look at one field of its record already rules the job out.
local function is_of_others(id)
  local value = deciding and redis.pcall('HGET', root .. 'job:' .. id, deciding)
  return type(value) == 'string' and value ~= options[deciding]
end

local function look_at(id)
  local own, values = {}, redis.pcall('HMGET', root .. 'job:' .. id, unpack(fields))
  for number, name in ipairs(fields) do own[name] = values[number] end
  return own
end

local function is_asked_for(own)
  if options.states and not options.states[own.state] then return false end
  if options.not_states and options.not_states[own.state] then return false end
  if options.tenant and options.tenant ~= (own.tenant or '') then return false end
  if options.tag and options.tag ~= (own.tag or '') then return false end
  if options.code and options.code ~= own.code then return false end
  if options.batch and options.batch ~= own.batch then return false end
  if options.since_ms and tonumber(own.finished_at or own.queued_at or 0) < options.since_ms then return false end
  if options.until_ms and tonumber(own.queued_at or 0) > options.until_ms then return false end
  -- it is in the list of those that were split
  return not own.parts
end

local seen = already_seen()
-- more of those that their entries rule out
local past = seen + (state_of_list and #words > 0 and 10 or 4) * options.look_at
if options.since_ms and options.newest and is_by_time then
  past = math.min(past, redis.call('ZCOUNT', key, as_text(options.since_ms), '+inf'))
end
if past <= seen then return {{}} end
local command = {'ZRANGE', key, as_text(seen), as_text(past - 1)}
if options.newest then command[#command + 1] = 'REV' end
local found, last, looked_at = {}, nil, 0
for _, entry in ipairs(redis.call(unpack(command))) do
  last = entry
  if not is_ruled_out(entry) then
    -- only a list by state has names beside the id
    local id = state_of_list and names_in(entry) or entry
    looked_at = looked_at + 1
    if not is_of_others(id) then
      local own = look_at(id)
      if not own.state then
        forgotten[#forgotten + 1] = entry
      elseif is_asked_for(own) then
        for _, value in ipairs({id, redis.call('ZSCORE', key, entry), entry, own.state, own.cancel or ''}) do
          found[#found + 1] = value
        end
      end
    end
    if #found == 5 * options.most or looked_at == options.look_at then break end
  end
end
local place = last and {redis.call('ZSCORE', key, last), last} or {}
for _, entry in ipairs(forgotten) do forget(entry) end
return {place, unpack(found)}
