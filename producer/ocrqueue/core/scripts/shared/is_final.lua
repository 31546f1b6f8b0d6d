-- Says whether a job in this state has ended. A final state is never left, save by a replay.
local function is_final(state)
  return state == 'succeeded' or state == 'partial' or state == 'failed' or state == 'cancelled'
end
