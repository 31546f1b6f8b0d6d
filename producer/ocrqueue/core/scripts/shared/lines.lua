-- `lines`, which may be nil, with one more; the first ones go where they would be more than `most`.
local function with_line(lines, line, most)
  lines = lines and (lines .. '\n' .. line) or line
  local _, breaks = string.gsub(lines, '\n', '')
  for _ = most, breaks do lines = string.match(lines, '\n(.*)$') end
  return lines
end
