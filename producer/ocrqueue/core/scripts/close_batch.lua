#!lua flags=allow-oom
-- uses: root, clock, as_text, batch_keys, webhooks, batches
-- CLOSE_BATCH: nothing more comes into a batch; once its last job has ended, its reply is sent.
-- ARGV root, tenant, name, reply_to (a Celery queue, or ''), reply (the message for it, with <JOBS> and the like in it)
-- returns 1; 0 where there is no such batch; 2 where it has ended, and has told others or nobody
local tenant, name, reply_to, reply = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local key = batch_key(tenant, name)
if not redis.call('HGET', key, 'jobs') then return 0 end
if redis.call('HGET', key, 'ended_at') then
  return (reply_to == '' or redis.call('HGET', key, 'reply_to') == reply_to) and 1 or 2
end
redis.call('HSETNX', key, 'closed_at', as_text(now))
if reply_to ~= '' then redis.call('HSET', key, 'reply_to', reply_to, 'reply', reply) end
settle_batch(tenant, name)
return 1
