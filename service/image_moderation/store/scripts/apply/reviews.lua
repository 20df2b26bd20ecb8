-- Reviews: which verdict stands, and what it does to the case.

local function clear(new_floor)
  local old_first, old_last, old_reasons = first, last, reasons
  end_round(new_floor)
  for at = 1, #records, size do
    local time, code = unpack_from(STANDING, records, at + STANDING_AT)
    if code ~= TOMBSTONE then
      if first == 0 or time < first then first = time end
      if time > last then last = time end
    end
  end
  if first == 0 then return end
  if old_first > floor then first, last = old_first, old_last end
  reasons, score = old_reasons, distinct_groups()
end

local function apply_review(given, time)
  if time == verdict_time and given == verdict then return DUPLICATE end
  if time < verdict_time or (time == verdict_time and given == VERDICT_CLEARED) then return STALE end
  verdict, verdict_time, dirty, extended = given, time, true, true
  if given == VERDICT_UPHELD then
    if not blocked then decide("block", "moderator") end
    return UPHELD
  end
  local new_floor = max(floor, time + immunity)
  if blocked then
    floor = new_floor
    decide("unblock", "moderator")
  else
    clear(new_floor)
    evaluate(false)
  end
  return CLEARED
end
