-- What a script is given from a place on, however much: unpack() puts it on the stack, which holds some thousands.
local function arguments_from(first)
  local found = {}
  for number = first, #ARGV do found[#found + 1] = ARGV[number] end
  return found
end
