#!lua flags=allow-oom
-- uses: as_text
--
-- Takes images of an admission off the month's count, once. Its token stays used.
--
-- KEYS  billed (images by month), admission
-- ARGV  images that are not billed after all
--
-- Returns how many were taken off.
local billed, admission = KEYS[1], KEYS[2]
local images = tonumber(ARGV[1])

local known = redis.call('GET', admission)
if not known then return 0 end
local month, granted = known:match('^(.+):(%d+)$')
local back = math.min(tonumber(granted), images)
redis.call('HINCRBY', billed, month, as_text(-back))
redis.call('DEL', admission)
return back
