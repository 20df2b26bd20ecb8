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

local function distinct_groups()
  local seen, count = {}, 0
  for at = 1, #records, size do
    if byte(records, at + REASON_AT) ~= TOMBSTONE then
      local group = group_of(at)
      if group == NO_GROUP then
        count = count + 1
      elseif not seen[group] then
        seen[group], count = true, count + 1
      end
    end
  end
  return count
end

local function window_start(latest) return max(floor, latest - report_window - 1) end

-- Drops the records up to the floor, and the reasons that no other record names; takes the score anew.
local function drop_old()
  local old_reasons, codes, kept = reasons, {}, {}
  reasons, oldest = "", 0
  for at = 1, #records, size do
    local time, code = unpack_from(STANDING, records, at + STANDING_AT)
    if time > floor then
      local record = sub(records, at, at + size - 1)
      if is_named(code) then
        local new = codes[code] or name_reason(reason_of(code, old_reasons))
        codes[code] = new
        if new ~= code then record = sub(record, 1, REASON_AT) .. char(new) .. sub(record, REASON_AT + 2) end
      end
      if oldest == 0 or time < oldest then oldest = time end
      kept[#kept + 1] = record
    end
  end
  records = table.concat(kept)
  score = distinct_groups()
end

local function forget_review()
  if review_at > 0 and waiting_sets then redis.call("ZREM", KEYS[2 * outboxes + outbox], image) end
  review_at = 0
end

-- Returns whether records may have moved.
local function slide(new_floor)
  if new_floor <= floor then return false end
  floor, dirty = new_floor, true
  if review_at > 0 and rests_on <= floor then forget_review() end
  if shadow_at > 0 and shadow_rests_on <= floor then shadow_at = 0 end
  if records == "" or floor < oldest then return false end
  drop_old()
  return true
end

local function without_spares()
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
