-- What Redis gives to a script: https://redis.io/docs/latest/develop/programmability/lua-api/
std = "lua51"
read_globals = {"redis", "cjson", "cmsgpack", "struct", "bit", "KEYS", "ARGV"}
-- and what its sandbox takes away
not_globals = {"dofile", "io", "loadfile", "module", "package", "print", "require"}
max_line_length = 120

-- A script has the names of those files in shared/ that its line `-- uses:` lists, and these have each other's.
local shared_folder = "producer/ocrqueue/core/scripts/shared/"

local function names_in(path)
  local names = {}
  for line in io.lines(path) do
    local listed = line:match("^local function ([%w_]+)") or line:match("^local ([%w_, ]+)")
    for name in (listed or ""):gmatch("[%w_]+") do names[#names + 1] = name end
  end
  return names
end

local function append(list, more)
  for _, each in ipairs(more) do list[#list + 1] = each end
end

local shared, scripts = {"root"}, {}
for path in io.popen("find producer worker -name '*.lua' 2>/dev/null"):lines() do
  if path:sub(1, #shared_folder) == shared_folder then append(shared, names_in(path)) else append(scripts, {path}) end
end
files[shared_folder] = {read_globals = shared, ignore = {"211"}}

for _, path in ipairs(scripts) do
  local used = {}
  for line in io.lines(path) do
    for name in (line:match("^%-%- uses: (.+)$") or ""):gmatch("[%w_]+") do
      append(used, names_in(shared_folder .. name .. ".lua"))
    end
  end
  -- `root` may be there for what is shared
  files[path] = {read_globals = used, ignore = {"211/root"}}
end
