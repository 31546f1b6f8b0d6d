-- The month of a time in milliseconds since 1970, in UTC, such as 2026-02.
-- The algorithm: http://howardhinnant.github.io/date_algorithms.html#civil_from_days
local function month_of(milliseconds)
  local days = math.floor(milliseconds / 86400000) + 719468
  local era = math.floor(days / 146097)
  local day = days - era * 146097
  local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524) - math.floor(day / 146096)) / 365)
  local in_year = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * in_year + 2) / 153)
  if month < 10 then month = month + 3 else month = month - 9 end
  year = year + era * 400
  if month <= 2 then year = year + 1 end
  return string.format('%04d-%02d', year, month)
end
