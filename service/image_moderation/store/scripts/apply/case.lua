-- The case in hand, in the names of domain/case.py, and its packed form.

local image, outbox, event  -- its id, the number of its partition's outbox, the number of the event
local dirty  -- whether the case must be stored
local blocked, floor, oldest, last, score, reasons, records
local grouped, size  -- whether records have groups, bytes of a record
local revision, decided_at, trigger, verdict, verdict_time
local withheld, shadow_blocked
-- The reviews of live and of shadow mode: `at` is 0 where there is none.
local review_at, rests_on, by_breaker, shadow_at, shadow_rests_on, shadow_by_breaker

local function load(packed)
  dirty, revision, decided_at, trigger, verdict, verdict_time = false, 0, 0, 0, 0, 0
  withheld, shadow_blocked, review_at, shadow_at = false, false, 0, 0
  if not packed then
    blocked, floor, oldest, last, score, reasons, records = false, 0, 0, 0, 0, "", ""
    grouped, size = false, RECORD_BYTES
    return
  end
  local flags, at = 0, HEAD_BYTES + 1
  flags, floor, oldest, last, score = unpack_from(HEAD, packed)
  blocked, grouped = flags % (2 * BLOCKED) >= BLOCKED, flags % (2 * GROUPED) >= GROUPED
  size = grouped and GROUPED_RECORD_BYTES or RECORD_BYTES
  if flags % (2 * DECIDED) >= DECIDED then
    revision, decided_at, verdict_time, verdict, trigger = unpack_from(DECIDED_PART, packed, at)
    at = at + DECIDED_PART_BYTES
  end
  if flags >= WAITING then
    local marks
    review_at, rests_on, shadow_at, shadow_rests_on, marks = unpack_from(WAITING_PART, packed, at)
    withheld, shadow_blocked = marks % (2 * WITHHELD) >= WITHHELD, marks % (2 * SHADOW_BLOCKED) >= SHADOW_BLOCKED
    by_breaker, shadow_by_breaker = marks % (2 * BY_BREAKER) >= BY_BREAKER, marks >= SHADOW_BY_BREAKER
    at = at + WAITING_PART_BYTES
  end
  local reasons_end = at + byte(packed, at)
  reasons, records = sub(packed, at + 1, reasons_end), sub(packed, reasons_end + 1)
end

local function dump()
  local flags, decided, waiting = (blocked and BLOCKED or 0) + (grouped and GROUPED or 0), "", ""
  if decided_at > 0 or verdict > 0 then
    flags = flags + DECIDED
    decided = pack(DECIDED_PART, revision, decided_at, verdict_time, verdict, trigger)
  end
  if withheld or shadow_blocked or review_at > 0 or shadow_at > 0 then
    if review_at == 0 then rests_on, by_breaker = 0, false end
    if shadow_at == 0 then shadow_rests_on, shadow_by_breaker = 0, false end
    local marks = (withheld and WITHHELD or 0) + (shadow_blocked and SHADOW_BLOCKED or 0)
      + (by_breaker and BY_BREAKER or 0) + (shadow_by_breaker and SHADOW_BY_BREAKER or 0)
    flags = flags + WAITING
    waiting = pack(WAITING_PART, review_at, rests_on, shadow_at, shadow_rests_on, marks)
  end
  return pack(HEAD, flags, floor, oldest, last, score) .. decided .. waiting .. char(#reasons) .. reasons .. records
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

local function is_named(code) return code ~= UNSPECIFIED_CODE and code ~= OTHER_CODE and code ~= TOMBSTONE end

-- The text that a code stands for in a table of reasons.
local function reason_of(code, table)
  if code == UNSPECIFIED_CODE then return UNSPECIFIED end
  if code == OTHER_CODE then return OTHER end
  return sub(table, code + 1, find(table, "\0", code + 1, true) - 1)
end
