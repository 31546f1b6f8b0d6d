-- What became of attempts that did not end their job, and of replays: the newest 32, a line of JSON each, in the job's
-- record. The last attempt is told by the record's own fields. Pages that were read have lines of their own, so that
-- they push no failure out. Needs root, now, as_text, places, lines.
--
-- `attempt`: number, started (ms), worker, engine; `error`: JSON, or nil
local function note_attempt(part, attempt, became, error)
  local record = record_key(job_of(part))
  local told = {
    became = became,
    number = tonumber(attempt.number),
    page = is_page_part(part) and tonumber(string.match(part, ':(%d+)$')) or nil,
    worker = attempt.worker or nil,
    engine = attempt.engine,
    started = attempt.started or nil,
    ended = as_text(now),
  }
  local line = cjson.encode(told)
  if error and error ~= '' then line = string.sub(line, 1, -2) .. ',"error":' .. error .. '}' end
  local field = is_page_part(part) and became == 'succeeded' and 'pages_log' or 'log'
  redis.call('HSET', record, field, with_line(redis.call('HGET', record, field) or nil, line, 32))
end
