-- After a time in which nobody reached Redis every lease looks overdue, until its worker is back in touch. So it does
-- where the clock was put forward; where it was put back, what was noted before lies in the future. Needs root, now,
-- as_text.

-- Somebody, with leases of this length, has reached Redis. Whoever is the first after a silence says so for all: no
-- lease ends for as long again.
local function note_contact(lease_ms)
  local last = redis.call('HGET', root .. 'reclaim', 'last')
  redis.call('HSET', root .. 'reclaim', 'last', as_text(now))
  if not last or now < tonumber(last) or now - tonumber(last) > lease_ms / 2 then
    redis.call('HSET', root .. 'reclaim', 'grace_until', as_text(now + lease_ms))
  end
end

-- Whether no lease is overdue yet, whatever it says.
local function has_grace()
  return now < tonumber(redis.call('HGET', root .. 'reclaim', 'grace_until') or 0)
end
