-- Reviews: which verdict stands, and what it does to the case.

local function apply_review(given, time)
  if time == verdict_time and given == verdict then
    if shadow or given == VERDICT_CLEARED or blocked then return DUPLICATE end
  elseif time < verdict_time or (time == verdict_time and given == VERDICT_CLEARED) then
    return STALE
  end
  forget_review()
  verdict, verdict_time, withheld, shadow_at, dirty = given, time, false, 0, true
  if given == VERDICT_UPHELD then
    if not (blocked or (shadow and shadow_blocked)) then block("moderator") end
    return UPHELD
  end
  slide(time + immunity)
  local was_blocked = blocked
  blocked, shadow_blocked = false, false
  if was_blocked then decide("unblock", "moderator") end
  return CLEARED
end
