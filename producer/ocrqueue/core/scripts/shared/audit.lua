-- An action on many jobs counts them as it goes: what is counted was done, however it is interrupted. Needs root,
-- as_text. `run`: the field of the action, '' for none.
local function count_for(run, jobs)
  if run ~= '' and jobs > 0 then redis.call('HINCRBY', root .. 'audit', run .. ':jobs', as_text(jobs)) end
end
