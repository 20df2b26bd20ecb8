-- Decisions: whether a changed case calls for one, and how it is taken.

local function trace()
  local found = traces ~= "" and sub(traces, (event - 1) * TRACE_BYTES + 1, event * TRACE_BYTES)
  return found and found ~= NO_TRACE and found or nil
end

local function remember(set, at)
  redis.call("ZADD", KEYS[set], at, image)
  redis.call("PEXPIREAT", KEYS[set], decided_until)
end

-- Withholds the block until then.
local function wait_until(due) remember(outboxes + outbox, due) end

local function count_reasons()
  local counts = {}
  for at = 1, #records, size do
    local code = byte(records, at + REASON_AT)
    if code ~= TOMBSTONE then
      local reason = reason_of(code)
      counts[reason] = (counts[reason] or 0) + 1
    end
  end
  return counts
end

local function decide(action, cause)
  local in_shadow = shadow and action ~= "unblock"
  local at = max(now, decided_at + 1)
  local decision = cjson.encode({
    image_id = image, action = action, state = action == "block" and "blocked" or "open",
    revision = revision + (in_shadow and 0 or 1), decided_at = at,
    trigger = cause, automated = cause ~= "moderator", distinct_reporters = score, threshold = block_threshold,
    reasons = count_reasons(),
    first_reported_at = first > 0 and first or nil, last_reported_at = last > 0 and last or nil,
    policy = policy_hash, traceparent = trace(),
  })
  reply[#reply + 1] = in_shadow and -event or event
  reply[#reply + 1] = decision
  dirty, extended = true, true
  if in_shadow then
    if action == "block" then shadow_blocked = true else shadow_asked_at = at end
    return
  end
  redis.call("ZADD", KEYS[outbox], sweep_at, decision)
  decided_now[decision] = true
  revision, decided_at, trigger = revision + 1, at, TRIGGERS[cause]
  if action == "request_review" then
    asked_at = at
    remember(2 * outboxes + outbox, at)
  else
    records, blocked = "", action == "block"
    end_round(max(floor, last))
  end
end

local function ask(cause)
  decide("request_review", cause)
  if review_grace > 0 and score >= block_threshold then
    wait_until((shadow and shadow_asked_at or asked_at) + review_grace)
  end
end

local function evaluate(urgent)
  if score < block_threshold and not urgent and review_threshold == 0 then return end
  local asked = shadow and shadow_asked_at or asked_at
  if shadow and shadow_blocked then return end
  if score < block_threshold then
    if asked > 0 then return end
    if urgent then return ask("urgent_reason") end
    if review_threshold > 0 and score >= review_threshold then ask("review_threshold") end
    return
  end
  if review_grace > 0 then
    if asked == 0 then return ask(urgent and "urgent_reason" or "review_threshold") end
    if now < asked + review_grace then return wait_until(asked + review_grace) end
  end
  if blocks_left then
    if blocks_left <= 0 then
      if asked == 0 then ask("breaker") end
      return
    end
    if not shadow then blocks_left = blocks_left - 1 end
  end
  decide("block", "threshold")
end
