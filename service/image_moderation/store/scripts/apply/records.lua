-- The records of a case: who counts, how many fit, and what is left of them when a round ends.

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

-- Returns the records for which keep(at) is true.
local function filter(keep)
  local kept = {}
  for at = 1, #records, size do
    if keep(at) then kept[#kept + 1] = sub(records, at, at + size - 1) end
  end
  return table.concat(kept)
end

local function without_spares()
  local seen = {}
  return filter(function(at)
    if byte(records, at + REASON_AT) == TOMBSTONE then return false end
    local group = group_of(at)
    if seen[group] then return false end
    seen[group] = group ~= NO_GROUP
    return true
  end)
end

-- Returns records that have room for the record at `at`, nil for a new one; nil if there is no room.
local function with_room(at)
  if at or #records < most_records * size then return records end
  local kept = without_spares()
  return #kept < most_records * size and kept or nil
end

-- Returns the records, each with room for a group.
local function with_groups()
  local wider = {}
  for at = 1, #records, RECORD_BYTES do
    wider[#wider + 1] = sub(records, at, at + RECORD_BYTES - 1) .. NO_GROUP
  end
  return table.concat(wider)
end

-- Ends the round at a floor that is at or after its last report; newer tombstones stay.
local function end_round(new_floor)
  if asked_at > 0 and asks_reviews then redis.call("ZREM", KEYS[2 * outboxes + outbox], image) end
  floor, first, last, score, reasons = new_floor, 0, 0, 0, ""
  asked_at, shadow_asked_at, shadow_blocked = 0, 0, false
  records = filter(function(at) return unpack_from(STANDING, records, at + STANDING_AT) > new_floor end)
  dirty = true
end
