-- The case in hand, in the names of domain/case.py, and its packed form.

local image, outbox, event  -- its id, the number of its partition's outbox, the number of the event
local dirty  -- whether the case must be stored
local blocked, floor, first, last, score, reasons, records
local grouped, size  -- whether records have groups, bytes of a record
local extended  -- whether any of the following is set
local revision, decided_at, trigger, asked_at, shadow_asked_at, shadow_blocked
local verdict, verdict_time

local function load(packed)
  dirty, extended, revision, decided_at, trigger = false, false, 0, 0, 0
  verdict, verdict_time, asked_at, shadow_asked_at, shadow_blocked = 0, 0, 0, 0, false
  if not packed then
    blocked, floor, first, last, score, reasons, records = false, 0, 0, 0, 0, "", ""
    grouped, size = false, RECORD_BYTES
    return
  end
  local flags, at = 0, HEAD_BYTES + 1
  flags, floor, first, last, score = unpack_from(HEAD, packed)
  blocked, grouped = flags % (2 * BLOCKED) >= BLOCKED, flags >= GROUPED
  size = grouped and GROUPED_RECORD_BYTES or RECORD_BYTES
  if flags % (2 * EXTENDED) >= EXTENDED then
    local marks
    extended = true
    revision, decided_at, verdict_time, asked_at, shadow_asked_at, marks, trigger =
      unpack_from(EXTENSION, packed, at)
    verdict, shadow_blocked = marks % SHADOW_BLOCKED, marks >= SHADOW_BLOCKED
    at = at + EXTENSION_BYTES
  end
  local reasons_end = at + byte(packed, at)
  reasons, records = sub(packed, at + 1, reasons_end), sub(packed, reasons_end + 1)
end

local function dump()
  local flags = (extended and EXTENDED or 0) + (blocked and BLOCKED or 0) + (grouped and GROUPED or 0)
  local extension = ""
  if extended then
    local marks = verdict + (shadow_blocked and SHADOW_BLOCKED or 0)
    extension = pack(EXTENSION, revision, decided_at, verdict_time, asked_at, shadow_asked_at, marks, trigger)
  end
  return pack(HEAD, flags, floor, first, last, score) .. extension .. char(#reasons) .. reasons .. records
end

-- Adds the reason to the case's table, if there is room, and returns its code.
local function name_reason(reason)
  if reason == UNSPECIFIED then return UNSPECIFIED_CODE end
  if reason == OTHER then return OTHER_CODE end
  local code = find(reasons, "\0" .. reason .. "\0", 1, true)
  if code then return code end
  if reasons == "" then reasons = "\0" end
  if #reasons + #reason + 1 > REASON_TABLE_BYTES then return OTHER_CODE end
  code, reasons = #reasons, reasons .. reason .. "\0"
  return code
end

-- The text that a code of this case stands for.
local function reason_of(code)
  if code == UNSPECIFIED_CODE then return UNSPECIFIED end
  if code == OTHER_CODE then return OTHER end
  return sub(reasons, code + 1, find(reasons, "\0", code + 1, true) - 1)
end
