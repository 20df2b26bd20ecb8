-- The case in hand, in the names of domain/case.py, and its packed form.

local key, outbox, event  -- its key, the number of its partition's outbox, the number of the event
local dirty  -- whether the case must be stored
local blocked, floor, last, score, reasons, records
local grouped, size  -- whether records have groups, bytes of a record
local revision, decided_at, trigger, verdict, verdict_time
local facts  -- of the latest decision, packed; "" without one
local withheld, shadow_blocked
-- The reviews of live and of shadow mode: `at` is 0 where there is none.
local review_at, rests_on, by_breaker, shadow_at, shadow_rests_on, shadow_by_breaker

local function image_id() return sub(key, key_prefix + 1) end

local function load(packed)
  dirty, revision, decided_at, trigger, verdict, verdict_time = false, 0, 0, 0, 0, 0
  withheld, shadow_blocked, review_at, shadow_at, facts = false, false, 0, 0, ""
  if not packed then
    blocked, floor, last, score, reasons, records = false, 0, 0, 0, "", ""
    grouped, size = false, RECORD_BYTES
    return
  end
  local flags, at = 0, HEAD_BYTES + 1
  flags, floor, last, score = unpack_from(HEAD, packed)
  blocked, grouped = flags % (2 * BLOCKED) >= BLOCKED, flags % (2 * GROUPED) >= GROUPED
  size = grouped and GROUPED_RECORD_BYTES or RECORD_BYTES
  if flags % (2 * DECIDED) >= DECIDED then
    revision, decided_at, verdict_time, verdict, trigger = unpack_from(DECIDED_PART, packed, at)
    at = at + DECIDED_PART_BYTES
  end
  if flags >= FACTS then
    facts = sub(packed, at, at - 1 + unpack_from(FACTS_LENGTH, packed, at))
    at = at + #facts
  end
  if flags % (2 * WAITING) >= WAITING then
    local marks
    review_at, rests_on, shadow_at, shadow_rests_on, marks = unpack_from(WAITING_PART, packed, at)
    by_breaker, shadow_by_breaker = false, false
    if marks > 0 then
      withheld, shadow_blocked = marks % (2 * WITHHELD) >= WITHHELD, marks % (2 * SHADOW_BLOCKED) >= SHADOW_BLOCKED
      by_breaker, shadow_by_breaker = marks % (2 * BY_BREAKER) >= BY_BREAKER, marks >= SHADOW_BY_BREAKER
    end
    at = at + WAITING_PART_BYTES
  end
  local length = byte(packed, at)
  reasons = length == 0 and "" or sub(packed, at + 1, at + length)
  records = sub(packed, at + length + 1)
end

-- Returns the packed case, and when it expires.
local function dump()
  local flags = (blocked and BLOCKED or 0) + (grouped and GROUPED or 0) + (facts ~= "" and FACTS or 0)
  local decided, waiting = "", ""
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
  local until_when = (revision > 0 or verdict > 0 or waiting ~= "") and decided_until or open_until
  return pack(HEAD, flags, floor, last, score) .. decided .. facts .. waiting .. char(#reasons) .. reasons .. records,
    until_when
end

local function forget_review()
  if review_at > 0 and waiting_sets then redis.call("ZREM", KEYS[2 * outboxes + outbox], image_id()) end
  review_at = 0
end

-- Before a pass through the records in Lua.
local function note_scan() work = work + SCAN_WORK * #records end
