-- Says whether a job that runs is the holder's. Its record names the worker and the attempt (a text).
-- holder: {worker, attempt}; the attempt 0 stands for any attempt of the worker.
local function is_holder(holder, worker, attempt)
  return worker == holder.worker and (holder.attempt == 0 or tonumber(attempt) == holder.attempt)
end
