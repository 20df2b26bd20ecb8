-- Decisions: how each is taken, and what it does to the case.

local function trace()
  local found = traces ~= "" and sub(traces, (event - 1) * TRACE_BYTES + 1, event * TRACE_BYTES)
  return found and found ~= NO_TRACE and found or nil
end

local function remember(set, at)
  redis.call("ZADD", KEYS[set], at, image_id())
  redis.call("PEXPIREAT", KEYS[set], decided_until)
end

-- Returns the standing reporters by reason, the same packed, and the least and the greatest time of their reports.
local function count_reasons()
  note_scan()
  local counts, codes, first, newest = {}, {}, nil, nil
  for at = 1, #records, size do
    local code = byte(records, at + REASON_AT)
    if code ~= TOMBSTONE then
      if not counts[code] then counts[code], codes[#codes + 1] = 0, code end
      counts[code] = counts[code] + 1
      first, newest = first or at, at
    end
  end
  local named, packed = {}, ""
  for n = 1, #codes do
    local code = codes[n]
    local reason, count = reason_of(code, reasons), counts[code]
    named[reason] = count
    packed = packed .. pack(REASON_COUNT, count, code == UNSPECIFIED_CODE and "" or reason)
  end
  return named, packed, first and time_at(first), newest and time_at(newest)
end

local policy_number  -- the hash as a number, made once a call

local function pack_facts(counts, first, newest)
  policy_number = policy_number or tonumber(policy_hash, 16)
  local reports = first and pack(FACTS_TIMES, first, newest) .. counts or ""
  return pack(FACTS_PART, FACTS_PART_BYTES + #reports, policy_number, block_threshold, score) .. reports
end

-- Returns when the decision was taken, and the newest report that it rests on.
local function decide(action, cause)
  local in_shadow = shadow and action ~= "unblock"
  local at, counts, packed_counts, first, newest = max(now, decided_at + 1), count_reasons()
  local decision = cjson.encode({
    image_id = image_id(), action = action, state = action == "block" and "blocked" or "open",
    revision = revision + (in_shadow and 0 or 1), decided_at = at,
    trigger = cause, automated = cause ~= "moderator", distinct_reporters = score, threshold = block_threshold,
    reasons = counts, first_reported_at = first, last_reported_at = newest,
    policy = policy_hash, traceparent = trace(),
  })
  reply[#reply + 1] = in_shadow and -event or event
  reply[#reply + 1] = decision
  dirty, work = true, work + DECISION_WORK
  if not in_shadow then
    redis.call("ZADD", KEYS[outbox], sweep_at, decision)
    decided_now[decision] = true
    revision, decided_at, trigger = revision + 1, at, TRIGGERS[cause]
    facts = pack_facts(packed_counts, first, newest)
  end
  return at, newest
end

local function block(cause)
  decide("block", cause)
  withheld = false
  if shadow then
    shadow_blocked = true
    return
  end
  slide(last)
  forget_review()
  blocked, shadow_at, shadow_blocked = true, 0, false
end

-- Returns when a review was requested, 0 if it was not, and whether the breaker was a reason for it.
local function requested()
  if shadow then return shadow_at, shadow_at > 0 and shadow_by_breaker end
  return review_at, review_at > 0 and by_breaker
end

local function ask(cause)
  local at, newest = decide("request_review", cause)
  if shadow then
    if shadow_at == 0 then shadow_at = at end
    shadow_rests_on, shadow_by_breaker = newest, cause == "breaker"
  else
    if review_at == 0 then review_at = at end
    rests_on, by_breaker = newest, cause == "breaker"
    remember(2 * outboxes + outbox, review_at)
  end
end

local function withhold(due)
  if not withheld then withheld, dirty = true, true end
  remember(outboxes + outbox, due)
end
