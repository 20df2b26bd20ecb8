-- The records of a case: who counts, what slides out of the window, and how many fit.

-- Returns where the digest's record begins, nil if it has none. The search runs in C; only a match that
-- lies across two records sends it on.
local function position(digest)
  local at = find(records, digest, 1, true)
  while at and (at - 1) % size ~= 0 do
    at = find(records, digest, at + 1, true)
  end
  return at
end

local function group_of(at)
  return grouped and sub(records, at + GROUP_AT, at + size - 1) or NO_GROUP
end

-- Whether somebody who counts, but for the record at `own`, is of the group. Searched for as in `position`.
local function counts_without(group, own)
  if group == NO_GROUP then return false end
  local at = find(records, group, 1, true)
  while at and ((at - 1) % size ~= GROUP_AT or at - GROUP_AT == own) do
    at = find(records, group, at + 1, true)
  end
  return at ~= nil
end

local function window_start(latest)
  local start = latest - report_window - 1
  return start > floor and start or floor
end

local function time_at(at) return (unpack_from(STANDING, records, at + STANDING_AT)) end

-- Takes those out of the score who are no longer counted once the first records, up to `upto`, are gone.
local function discount(upto)
  local going, seen = records, {}
  records = sub(records, upto + 1)
  for at = 1, upto, size do
    if byte(going, at + REASON_AT) ~= TOMBSTONE then
      local group = grouped and sub(going, at + GROUP_AT, at + size - 1) or NO_GROUP
      if group == NO_GROUP or not (seen[group] or counts_without(group)) then score = score - 1 end
      seen[group] = true
    end
  end
end

-- Returns whether records have moved.
local function slide(new_floor)
  if new_floor <= floor then return false end
  floor, dirty = new_floor, true
  if review_at > 0 and rests_on <= floor then forget_review() end
  if shadow_at > 0 and shadow_rests_on <= floor then shadow_at = 0 end
  if score == 0 then reasons = "" end
  if records == "" or unpack_from(STANDING, records, 1 + STANDING_AT) > floor then return false end
  if time_at(#records + 1 - size) <= floor then
    records, score = "", 0
  else
    local kept = 1 + size
    while time_at(kept) <= floor do kept = kept + size end
    work = work + EVENT_WORK * kept / size
    discount(kept - 1)
  end
  if score == 0 then reasons = "" end
  return true
end

local function without_spares()
  note_scan()
  local kept, seen = {}, {}
  for at = 1, #records, size do
    local group = group_of(at)
    if byte(records, at + REASON_AT) ~= TOMBSTONE and not seen[group] then
      seen[group] = group ~= NO_GROUP
      kept[#kept + 1] = sub(records, at, at + size - 1)
    end
  end
  return table.concat(kept)
end

-- Returns records that have room for the record at `at`, nil for a new one; nil if there is no room.
local function with_room(at)
  if at or #records < most_records * size then return records end
  return score < most_records and without_spares() or nil
end

-- Puts a record into its place, and takes out the one at `at`, if there is one.
local function with_record(at, record, time)
  if at then records = sub(records, 1, at - 1) .. sub(records, at + size) end
  local place = #records + 1 - size
  -- If all others count, none is newer than `last`.
  local newest = time == last and #records == (score - 1) * size
  if newest or place < 1 or unpack_from(STANDING, records, place + STANDING_AT) <= time then
    records = records .. record
    return
  end
  while place > size and time_at(place - size) > time do place = place - size end
  work = work + SCAN_WORK * (#records - place)
  records = sub(records, 1, place - 1) .. record .. sub(records, place)
end
