-- A whole number as Redis is to store it: tostring would write a time as 1.7e+12.
local function as_text(number) return string.format('%.0f', number) end
