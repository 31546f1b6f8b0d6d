-- What stands before every key.
local root = ARGV[1]
