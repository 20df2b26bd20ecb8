-- One more report that counts and decides nothing, as most reports do: `apply_report` on the packed case, without
-- `load` and `dump`. The case is new; or it was never decided, waits for nothing, has no groups and no retractions,
-- and the report is not older than its others and makes none of them slide out.

local most_score = (review_threshold > 0 and min(review_threshold, block_threshold) or block_threshold) - 1

-- By a reason's number: the code of one that no table names, and the name as a table has it.
local unnamed, names = {}, {}
for n = 1, #ARGV - before_reasons do
  local reason = ARGV[before_reasons + n]
  unnamed[n] = reason == UNSPECIFIED and UNSPECIFIED_CODE or reason == OTHER and OTHER_CODE or nil
  names[n] = "\0" .. reason .. "\0"
end

local function keep(i, packed)
  cases[i], changed[i] = packed, open_until
  work = work + EVENT_WORK + BYTE_WORK * #packed
  return true
end

-- Returns whether the report is entered. If it isn't, nothing has changed, and `apply_report` must look at it.
local function enter_one_more(i, packed, time, digest, reason)
  local code, name, start = unnamed[reason], names[reason], time - report_window - 1
  if not packed then
    if most_score < 1 or time <= 0 then return false end
    if code then name = "" end
    return keep(i, pack(PLAIN_HEAD, 0, max(start, 0), time, 1, #name) .. name .. pack(RECORD, digest, time, code or 1))
  end
  local flags, floor, last, score, named = unpack_from(PLAIN_HEAD, packed)
  local records_at = PLAIN_HEAD_BYTES + named + 1
  if flags ~= 0 or score == 0 or score >= most_score or time < last
    or #packed >= records_at + score * RECORD_BYTES or find(packed, digest, records_at, true) then return false end
  if start > floor then
    floor = start
    if unpack_from(STANDING, packed, records_at + STANDING_AT) <= floor then return false end
  end
  local longer = ""  -- the table of reasons with a name more
  if not code then
    local at = find(packed, name, PLAIN_HEAD_BYTES + 1, true)
    if at and at + #name <= records_at then
      code = at - PLAIN_HEAD_BYTES
    else
      code, name = max(named, 1), named == 0 and name or sub(name, 2)
      if named + #name > REASON_TABLE_BYTES then return false end
      longer, named = sub(packed, PLAIN_HEAD_BYTES + 1, records_at - 1) .. name, named + #name
    end
  end
  return keep(i, pack(PLAIN_HEAD, 0, floor, time, score + 1, named) .. longer
    .. sub(packed, longer == "" and PLAIN_HEAD_BYTES + 1 or records_at) .. pack(RECORD, digest, time, code))
end
