-- Lists of jobs: of those that have ended, by state; of those that have a tag or a tenant, by these; and of those that
-- were split and are at work. Needs root, now, as_text,
-- batch_keys.
-- A job's score in all of them is the time since which it is what it is: of its submission, and then of its end. In the
-- list of its state it stands with its tenant and batch, the code of its error, and its tag: they say what other
-- lists it is in once its record is gone, and rule it out without a look at that.
local function state_list(state) return root .. 'by_state:' .. state end
local function tag_list(tag) return root .. 'by_tag:' .. tag end
local function tenant_list(tenant) return root .. 'by_tenant:' .. tenant end

local function with_names(id, tenant, code, tag, batch)
  if not tenant and not code and not tag and not batch then return id end
  return id .. ' ' .. (tenant or '') .. (batch and '/' .. batch or '') .. ' ' .. (code or '') .. ' ' .. (tag or '')
end

-- {id, tenant, code, tag, batch} of an entry, '' for none. A tag may hold anything, a tenant and a batch no '/'.
local function names_in(entry)
  local id, tenant, code, tag = string.match(entry, '^(%S+) (%S*) (%S*) (.*)$')
  local owner, batch = string.match(tenant or '', '^([^/]*)/?(.*)$')
  return id or entry, owner, code or '', tag or '', batch
end

local function list_by_names(id, tenant, tag)
  if tenant and tenant ~= '' then redis.call('ZADD', tenant_list(tenant), as_text(now), id) end
  if tag and tag ~= '' then redis.call('ZADD', tag_list(tag), as_text(now), id) end
end

local function list_ended(id, tenant, code, tag, state, batch)
  redis.call('ZADD', state_list(state), as_text(now), with_names(id, tenant, code, tag, batch))
  list_by_names(id, tenant, tag)
end

-- Its record is gone, or is to go.
local function unlist_entry(state, entry)
  local id, tenant, _, tag, batch = names_in(entry)
  redis.call('ZREM', state_list(state), entry)
  if tenant ~= '' then redis.call('ZREM', tenant_list(tenant), id) end
  if tag ~= '' then redis.call('ZREM', tag_list(tag), id) end
  if batch ~= '' then redis.call('ZREM', batch_list(tenant, batch), id) end
end
