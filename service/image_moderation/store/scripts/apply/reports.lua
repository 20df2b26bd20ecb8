-- Reports and retractions: which of a reporter's events stands, whether it fits the window, and its record.

local function replaces(retracted, time, standing_time, stands)
  if time ~= standing_time then return time > standing_time end
  return retracted and stands
end

local function costs_a_reporter(own, before, after)
  for at = 1, #records, size do
    local time, code = unpack_from(STANDING, records, at + STANDING_AT)
    if time > after then return false end
    if code ~= TOMBSTONE and time > before and at ~= own then return true end
    work = work + EVENT_WORK
  end
  return false
end

local function still_waiting()
  if withheld and score < block_threshold then withheld, dirty = false, true end
end

local function superseded(retracted, time, standing_time, stands, new_floor)
  if retracted then return time == standing_time and DUPLICATE or STALE end
  if time > last then last, dirty = time, true end
  slide(new_floor)
  still_waiting()
  return stands and DUPLICATE or RETRACTED_BEFORE
end

-- Returns the records, each with room for a group.
local function with_groups()
  note_scan()
  local wider = {}
  for at = 1, #records, RECORD_BYTES do
    wider[#wider + 1] = sub(records, at, at + RECORD_BYTES - 1) .. NO_GROUP
  end
  return table.concat(wider)
end

-- `at` is where the reporter's record begins, nil for a new one; `stands` whether it counts.
local function enter(at, stands, kind, time, digest, group, reason)
  local kept = with_room(at)
  if not kept then return HELD end
  records, dirty = kept, true
  if group ~= NO_GROUP and not grouped then
    records, grouped, size = with_groups(), true, GROUPED_RECORD_BYTES
    at = at and (at - 1) / RECORD_BYTES * GROUPED_RECORD_BYTES + 1
  end
  local retracted, before = kind == KIND_RETRACTION, score
  if stands and not counts_without(group_of(at), at) then score = score - 1 end
  if not (retracted or grouped and counts_without(group, at)) then score = score + 1 end
  local record = pack(RECORD, digest, time, retracted and TOMBSTONE or name_reason(reason))
  if grouped then record = record .. group end
  with_record(at, record, time)
  if withheld then still_waiting() end
  if retracted then return RETRACTED end
  local urgent = kind == KIND_URGENT_REPORT
  if score > before then
    evaluate(urgent)
    return COUNTED
  end
  if urgent and requested() == 0 and not (shadow and shadow_blocked) then ask("urgent_reason") end
  return DUPLICATE
end

local function apply_report(kind, time, digest, group, reason)
  local retracted, before = kind == KIND_RETRACTION, last - report_window - 1
  if before < floor then before = floor end
  local after = (retracted or time <= last) and before or window_start(time)
  if time <= after then return LATE end
  local at, stands = position(digest), false
  if withheld and not shadow and costs_a_reporter(at, before, after) then return HELD end
  if at then
    local standing_time, code = unpack_from(STANDING, records, at + STANDING_AT)
    stands = code ~= TOMBSTONE
    if not replaces(retracted, time, standing_time, stands) then
      return superseded(retracted, time, standing_time, stands, after)
    end
  end
  if not retracted and time > last then last, dirty = time, true end
  if after > floor and slide(after) then
    at = position(digest)
    stands = at ~= nil and stands
  end
  return enter(at, stands, kind, time, digest, group, reason)
end
