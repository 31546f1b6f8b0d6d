#!lua flags=allow-oom
-- PEEK: the oldest messages in the lists that foreign apps push to. What is too large for any job is removed here: who
-- takes messages in shall not have it in memory.
-- ARGV how many of a list at most, their bytes together at most, bytes of one at most, lists (JSON)
-- returns for each list {how many were too large, message, ...}, the oldest first
local most, most_bytes, largest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local lists = cjson.decode(ARGV[4])

local function looked_at(list)
  local found, removed, bytes = {}, 0, 0
  while #found + removed < most and bytes < most_bytes do
    local message = redis.call('LINDEX', list, -1 - #found)
    if not message then break end
    if #message > largest then
      redis.call('LREM', list, -1, message)
      removed = removed + 1
    else
      found[#found + 1] = message
      bytes = bytes + #message
    end
  end
  return {removed, unpack(found)}
end

local answer = {}
for number, list in ipairs(lists) do
  -- a key of this name that is no list holds no message
  answer[number] = redis.call('TYPE', list).ok == 'list' and looked_at(list) or {0}
end
return answer
