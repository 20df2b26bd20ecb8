-- Reports and retractions: which of a reporter's events stands, whether it fits the round, and its record.

local function replaces(retracted, time, standing_time, stands)
  if time ~= standing_time then return time > standing_time end
  return retracted and stands
end

-- Makes the round hold `time`. Returns false if `time` is too old for it, else true, and whether that ended
-- a round, so that records have moved.
local function fit(time)
  if first == 0 then
    first, last, dirty = time, time, true
  elseif time > last and time > first + report_window then
    end_round(max(first + report_window, last))
    first, last = time, time
    return true, true
  else
    local new_first, new_last = time < first and time or first, time > last and time or last
    if new_last - new_first > report_window then return false end
    if new_first ~= first or new_last ~= last then first, last, dirty = new_first, new_last, true end
  end
  return true, false
end

local function superseded(retracted, time, standing_time, stands)
  if retracted then return time == standing_time and DUPLICATE or STALE end
  fit(time)
  return stands and DUPLICATE or RETRACTED_BEFORE
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
  local retracted = kind == KIND_RETRACTION
  local record = pack(RECORD, digest, time, retracted and TOMBSTONE or name_reason(reason))
  if grouped then record = record .. group end
  if at then
    records = sub(records, 1, at - 1) .. record .. sub(records, at + size)
  else
    records = records .. record
  end
  local before = score
  if grouped or (retracted and stands) then
    score = distinct_groups()
  elseif not retracted and not stands then
    score = score + 1
  end
  local outcome = retracted and RETRACTED or score > before and COUNTED or DUPLICATE
  evaluate(kind == KIND_URGENT_REPORT)
  return outcome
end

local function apply_report(kind, time, digest, group, reason)
  if time <= floor then return LATE end
  local retracted, at, stands = kind == KIND_RETRACTION, position(digest), false
  if at then
    local standing_time, code = unpack_from(STANDING, records, at + STANDING_AT)
    stands = code ~= TOMBSTONE
    if not replaces(retracted, time, standing_time, stands) then
      return superseded(retracted, time, standing_time, stands)
    end
  end
  if not retracted then
    local fits, ended = fit(time)
    if not fits then return LATE end
    if ended then at, stands = position(digest), false end
  end
  return enter(at, stands, kind, time, digest, group, reason)
end
