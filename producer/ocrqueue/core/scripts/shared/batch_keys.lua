-- Where a batch has its counters, and the list of its jobs. Its name is its tenant's. Needs root.
local function batch_key(tenant, name) return root .. 'batch:' .. (tenant or '') .. ':' .. name end
local function batch_list(tenant, name) return root .. 'by_batch:' .. (tenant or '') .. ':' .. name end

-- The counters in which a job in this state counts as running; nil for none.
local function running_in(state, tenant, batch)
  return batch and state == 'running' and batch_key(tenant, batch) or nil
end
