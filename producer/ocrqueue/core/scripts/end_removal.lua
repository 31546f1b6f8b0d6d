#!lua flags=allow-oom
-- uses: root, clock, as_text, inputs
-- END_REMOVAL: what was claimed is removed, or is left alone.
-- ARGV root, token (of the claim), names of the images and jobs (JSON)
-- returns how many were still the caller's
local token, names = ARGV[2], cjson.decode(ARGV[3])
local ours = 0
for _, name in ipairs(names) do
  if redis.call('GET', removal_key(name)) == token then ours = ours + redis.call('DEL', removal_key(name)) end
end
return ours
