#!lua flags=allow-oom
-- uses: root, clock, as_text, places
-- PROGRESS: pages done of an attempt under way.
-- ARGV root, part, token, pages done, pages
-- returns what the attempt is to do: 'go on'; 'stop', since the job was asked to; 'gone', since it is another's or has
--   ended
local part, token, done, pages = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local id = job_of(part)
if redis.call('HGET', part_key(part), 'token') ~= token then return 'gone' end
if redis.call('HEXISTS', record_key(id), 'cancel') == 1 then return 'stop' end
if not is_page_part(part) then
  redis.call('HSET', record_key(id), 'progress', done .. '/' .. pages)
  tell(id, 'running ' .. done .. '/' .. pages)
end
return 'go on'
