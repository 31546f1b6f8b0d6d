-- The calendar of a time in milliseconds since 1970, in UTC.
-- The algorithm: http://howardhinnant.github.io/date_algorithms.html#civil_from_days
-- Returns year, month, day.
local function date_of(milliseconds)
  local days = math.floor(milliseconds / 86400000) + 719468
  local era = math.floor(days / 146097)
  local day = days - era * 146097
  local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524) - math.floor(day / 146096)) / 365)
  local in_year = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  -- months from March on, of 153 days for five
  local month = math.floor((5 * in_year + 2) / 153)
  local of_month = in_year - math.floor((153 * month + 2) / 5) + 1
  if month < 10 then month = month + 3 else month = month - 9 end
  year = year + era * 400
  if month <= 2 then year = year + 1 end
  return year, month, of_month
end

-- Such as 2026-02.
local function month_of(milliseconds)
  local year, month = date_of(milliseconds)
  return string.format('%04d-%02d', year, month)
end
