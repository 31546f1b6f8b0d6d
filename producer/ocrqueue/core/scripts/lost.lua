#!lua flags=allow-oom
-- uses: root, arguments, clock, as_text, is_final, ended_ids, places, counts, inputs
-- uses: batch_keys, job_lists, webhooks, batches, reservations, ending, page_parts, lines, attempts, leaving
-- LOST: the process that had the parts is gone, and its worker says so.
-- ARGV root, policy (delivery_cap, take_cap, poison, never_begun, cancelled), part, token, ...
-- returns what became of each: 'requeued', 'poison', 'cancelled', 'ended' or 'gone'
local policy, named = cjson.decode(ARGV[2]), arguments_from(3)
local became = {}
for number = 1, #named, 2 do
  local part, token = named[number], named[number + 1]
  local is_its = redis.call('HGET', part_key(part), 'token') == token
  became[#became + 1] = is_its and lose(part, policy) or 'gone'
end
return became
