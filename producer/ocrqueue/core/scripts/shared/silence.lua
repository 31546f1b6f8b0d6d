-- After a time in which nobody reached Redis every lease looks overdue, until its worker is back in touch. So it does
-- where the clock was put forward; where it was put back, what was noted before lies in the future. Needs root, now,
-- as_text.

-- The clock was put back, and each lease ends as much sooner by it: each keeps its own length, for workers may have
-- leases of different lengths. One that was given since ends too soon by that, which the grace makes up for.
local function put_back_leases(by_ms)
  local leases = redis.call('ZRANGE', root .. 'leases', 0, -1, 'WITHSCORES')
  for number = 1, #leases, 2 do
    redis.call('ZADD', root .. 'leases', as_text(tonumber(leases[number + 1]) - by_ms), leases[number])
  end
end

-- Somebody, with leases of this length, has reached Redis. Whoever is the first after a silence says so for all: no
-- lease ends for as long as the longest of those who were in touch since the silence before. The shortest of them says
-- what a silence is.
local function note_contact(lease_ms)
  local key = root .. 'reclaim'
  local last, shortest, longest, until_ms =
    unpack(redis.call('HMGET', key, 'last', 'shortest', 'longest', 'grace_until'))
  shortest = math.min(tonumber(shortest) or lease_ms, lease_ms)
  longest = math.max(tonumber(longest) or lease_ms, lease_ms)
  local was_put_back = last and now < tonumber(last)
  if was_put_back then put_back_leases(tonumber(last) - now) end
  if not last or was_put_back or now - tonumber(last) > shortest / 2 then
    local ends = now + longest
    if not was_put_back then ends = math.max(ends, tonumber(until_ms) or 0) end
    redis.call('HSET', key, 'grace_until', as_text(ends))
    shortest, longest = lease_ms, lease_ms
  end
  redis.call('HSET', key, 'last', as_text(now), 'shortest', as_text(shortest), 'longest', as_text(longest))
end

-- For how long (ms) no lease is overdue yet, whatever it says.
local function grace_left()
  return math.max(0, tonumber(redis.call('HGET', root .. 'reclaim', 'grace_until') or 0) - now)
end
