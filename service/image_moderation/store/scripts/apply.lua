-- Applies events to their cases and records what that decides, in one atomic step: all of a batch on
-- one server, those of one partition at a time on a Cluster.
-- Idempotent: applying an event again changes nothing. `domain/policy.py` states the same rules plainly.
--
-- KEYS[1..o]  the outboxes of the partitions (ZSET: frozen decision -> when to try to publish it next)
-- KEYS[..3o]  only where reviews may be asked for: the partitions' withheld blocks (ZSET: image -> when
--             to look again), then their unanswered reviews (ZSET: image -> when it was asked)
-- KEYS[..]    the cases, each once; the packed layout is described in store/layout.py
-- ARGV[1]   now, milliseconds, as all times
-- ARGV[2]   block threshold
-- ARGV[3]   report window
-- ARGV[4]   when an open case expires
-- ARGV[5]   when a decided case expires
-- ARGV[6]   when the sweep may publish a decision taken now
-- ARGV[7]   hash of the policy
-- ARGV[8]   "1" where the batch may have been applied before
-- ARGV[9]   bytes of a case's key before the image id
-- ARGV[10]  o, how many of the keys are outboxes
-- ARGV[11]  immunity
-- ARGV[12]  review threshold, 0 without one
-- ARGV[13]  review grace, 0 without one
-- ARGV[14]  "1" where reviews may be asked for, for whichever reason
-- ARGV[15]  "1" in shadow mode
-- ARGV[16]  automatic blocks that the breaker lets pass; "" without one
-- ARGV[17]  events, packed: case 2, outbox 1, kind 1 (0 report, 1 retraction, 2 upheld, 3 cleared, 4 tick,
--           5 report with an urgent reason), time 6, digest 8, group 8 (zeros: none), reason 2;
--           case, outbox and reason by their number among the keys and arguments, from 1
-- ARGV[18]  traces: 55 characters an event, blanks for one without; "" where no event has one
-- ARGV[19..] the reasons that the events name
--
-- Returns { outcomes, event, decision, event, decision, ... }: one letter an event (c counted, d duplicate,
-- b already blocked, l late, r retracted, t retracted before, s stale, h held, u upheld, v cleared, k
-- ticked); then each decision with the number of the event that brought it: negative for one of shadow
-- mode, which nothing comes of, 0 for one found in the outbox of a repeated batch.

local byte, char, find, sub = string.byte, string.char, string.find, string.sub
local pack, unpack_from = struct.pack, struct.unpack
local max, min = math.max, math.min

local HEAD, HEAD_BYTES = "<BI6I6I6I2", 21
local EXTRA, EXTRA_BYTES = "<I4I6I6I6I6BB", 30
local EVENT, EVENT_BYTES = "<I2BBI6c8c8I2", 28
local REPORT, RETRACTION, UPHELD, CLEARED, TICK, URGENT = 0, 1, 2, 3, 4, 5
local UNSPECIFIED, TOMBSTONE, OTHER = 0, 254, 255
local TRIGGERS = { threshold = 1, moderator = 2, review_threshold = 3, urgent_reason = 4, breaker = 5 }
local NO_GROUP = ("\0"):rep(8)
local TABLE_BYTES = 240
local UNSETTLED_AT_MOST = 1000

local now, threshold, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local open_until, decided_until = ARGV[4], ARGV[5]
local key_prefix, outboxes, immunity = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local review_threshold, grace = tonumber(ARGV[12]), tonumber(ARGV[13])
local reviews, shadow, room = ARGV[14] == "1", ARGV[15] == "1", tonumber(ARGV[16])
local events = ARGV[17]
local traces = ARGV[18]
local REASONS, TRACE = 18, 55
local most_records = 8 * threshold + 64
local before_cases = reviews and 3 * outboxes or outboxes

local cases = redis.call("MGET", unpack(KEYS, before_cases + 1))
local changed, decided_now = {}, {}
local reply, outcomes = { "" }, {}

-- Records ---------------------------------------------------------------------------------------

-- Where the digest's record begins, nil if it has none. The search runs in C; only a match that lies
-- across two records sends it on.
local function position(records, size, digest)
  local at = find(records, digest, 1, true)
  while at and (at - 1) % size ~= 0 do
    at = find(records, digest, at + 1, true)
  end
  return at
end

-- Who counts for a record: its group, or the reporter itself.
local function who(records, at, grouped)
  local group = grouped and sub(records, at + 15, at + 22) or NO_GROUP
  if group == NO_GROUP then return "r" .. sub(records, at, at + 7), false end
  return group, true
end

local function score_of(records, size, grouped)
  local seen, score = {}, 0
  for at = 1, #records, size do
    if byte(records, at + 14) ~= TOMBSTONE then
      local counts = who(records, at, grouped)
      if not seen[counts] then seen[counts], score = true, score + 1 end
    end
  end
  return score
end

-- Keeps the records for which keep(at) is true.
local function filter(records, size, keep)
  local kept = {}
  for at = 1, #records, size do
    if keep(at) then kept[#kept + 1] = sub(records, at, at + size - 1) end
  end
  return table.concat(kept)
end

local function without_spares(records, size, grouped)
  local seen = {}
  return filter(records, size, function(at)
    if byte(records, at + 14) == TOMBSTONE then return false end
    local counts, in_group = who(records, at, grouped)
    if in_group and seen[counts] then return false end
    seen[counts] = true
    return true
  end)
end

local function with_groups(records)
  local wider = {}
  for at = 1, #records, 15 do wider[#wider + 1] = sub(records, at, at + 14) .. NO_GROUP end
  return table.concat(wider)
end

-- Reasons ---------------------------------------------------------------------------------------

-- The reason's code, and the table with the reason in it.
local function name_reason(names, reason)
  if reason == "unspecified" then return UNSPECIFIED, names end
  if reason == "other" then return OTHER, names end
  local at = find(names, "\0" .. reason .. "\0", 1, true)
  if at then return at, names end
  if names == "" then names = "\0" end
  if #names + #reason + 1 > TABLE_BYTES then return OTHER, names end
  return #names, names .. reason .. "\0"
end

local function count_reasons(records, size, names)
  local counts = {}
  for at = 1, #records, size do
    local code = byte(records, at + 14)
    if code ~= TOMBSTONE then
      local reason = "other"
      if code == UNSPECIFIED then reason = "unspecified"
      elseif code ~= OTHER then reason = sub(names, code + 1, find(names, "\0", code + 1, true) - 1) end
      counts[reason] = (counts[reason] or 0) + 1
    end
  end
  return counts
end

-- The case in hand -------------------------------------------------------------------------------

local image, outbox, event  -- its id, the number of its partition's outbox, the number of the event
local dirty  -- whether it is to be stored
local blocked, grouped, size  -- size: bytes of a record
local floor, first, last, score, names, records
local extra  -- whether any of the following is set
local revision, decided_at, verdict_time, asked_at, shadow_asked_at, marks, trigger

local function load(i)
  local case = cases[i]
  dirty, extra, revision, decided_at, verdict_time = false, false, 0, 0, 0
  asked_at, shadow_asked_at, marks, trigger = 0, 0, 0, 0
  if not case then
    blocked, grouped, size, floor, first, last, score, names, records = false, false, 15, 0, 0, 0, 0, "", ""
    return
  end
  local flags, at = 0, HEAD_BYTES + 1
  flags, floor, first, last, score = unpack_from(HEAD, case)
  blocked, grouped = flags % 4 >= 2, flags >= 4
  size = grouped and 23 or 15
  if flags % 2 == 1 then
    extra = true
    revision, decided_at, verdict_time, asked_at, shadow_asked_at, marks, trigger = unpack_from(EXTRA, case, at)
    at = at + EXTRA_BYTES
  end
  local names_end = at + byte(case, at)
  names, records = sub(case, at + 1, names_end), sub(case, names_end + 1)
end

local function store(i)
  local flags = (extra and 1 or 0) + (blocked and 2 or 0) + (grouped and 4 or 0)
  local more = ""
  if extra then
    more = pack(EXTRA, revision, decided_at, verdict_time, asked_at, shadow_asked_at, marks, trigger)
  end
  cases[i] = pack(HEAD, flags, floor, first, last, score) .. more .. char(#names) .. names .. records
  changed[i] = true
end

-- Ends the round at a floor that is at or after its last report; newer tombstones stay.
local function end_round(new_floor)
  if asked_at > 0 and reviews then redis.call("ZREM", KEYS[2 * outboxes + outbox], image) end
  floor, first, last, score, names = new_floor, 0, 0, 0, ""
  asked_at, shadow_asked_at, marks = 0, 0, marks % 4
  records = filter(records, size, function(at) return unpack_from("<I6", records, at + 8) > new_floor end)
  dirty = true
end

-- Decisions --------------------------------------------------------------------------------------

local function remember(set, at)
  redis.call("ZADD", KEYS[set], at, image)
  redis.call("PEXPIREAT", KEYS[set], decided_until)
end

local function trace()
  local found = traces ~= "" and sub(traces, (event - 1) * TRACE + 1, event * TRACE)
  return found and byte(found) ~= 32 and found or nil
end

local function decide(action, why)
  local in_shadow = shadow and action ~= "unblock"
  local at = max(now, decided_at + 1)
  local decision = cjson.encode({
    image_id = image, action = action, state = action == "block" and "blocked" or "open",
    revision = revision + (in_shadow and 0 or 1), decided_at = at,
    trigger = why, automated = why ~= "moderator", distinct_reporters = score, threshold = threshold,
    reasons = count_reasons(records, size, names),
    first_reported_at = first > 0 and first or nil, last_reported_at = last > 0 and last or nil,
    policy = ARGV[7], traceparent = trace(),
  })
  reply[#reply + 1] = in_shadow and -event or event
  reply[#reply + 1] = decision
  dirty, extra = true, true
  if in_shadow then
    if action == "block" then marks = marks % 4 + 4 else shadow_asked_at = at end
    return
  end
  redis.call("ZADD", KEYS[outbox], ARGV[6], decision)
  decided_now[decision] = true
  revision, decided_at, trigger = revision + 1, at, TRIGGERS[why]
  if action == "request_review" then
    asked_at = at
    remember(2 * outboxes + outbox, at)
  else
    end_round(max(floor, last))
    records, blocked = "", action == "block"
  end
end

local function wait_until(at) remember(outboxes + outbox, at) end

local function ask(why)
  decide("request_review", why)
  if grace > 0 and score >= threshold then wait_until((shadow and shadow_asked_at or asked_at) + grace) end
end

-- What the changed case calls for: nothing, a review, a block, or to wait with the block.
local function evaluate(urgent)
  if score < threshold and not urgent and review_threshold == 0 then return end
  local asked = shadow and shadow_asked_at or asked_at
  if shadow and marks >= 4 then return end
  if score < threshold then
    if asked > 0 then return end
    if urgent then return ask("urgent_reason") end
    if review_threshold > 0 and score >= review_threshold then ask("review_threshold") end
    return
  end
  if grace > 0 then
    if asked == 0 then return ask(urgent and "urgent_reason" or "review_threshold") end
    if now < asked + grace then return wait_until(asked + grace) end
  end
  if room then
    if room <= 0 then
      if asked == 0 then ask("breaker") end
      return
    end
    if not shadow then room = room - 1 end
  end
  decide("block", "threshold")
end

-- Events -----------------------------------------------------------------------------------------

local function judge(word, time)
  local standing = marks % 4
  if time == verdict_time and word == standing then return "d" end
  if time < verdict_time or (time == verdict_time and word == 2) then return "s" end
  verdict_time, marks, dirty, extra = time, marks - standing + word, true, true
  if word == 1 then
    if not blocked then decide("block", "moderator") end
    return "u"
  end
  local new_floor = max(floor, time + immunity)
  if blocked then
    floor = new_floor
    decide("unblock", "moderator")
    return "v"
  end
  -- Reports newer than the floor, if there are any, begin a new round.
  local old_first, old_last, old_names = first, last, names
  end_round(new_floor)
  for at = 1, #records, size do
    if byte(records, at + 14) ~= TOMBSTONE then
      local reported = unpack_from("<I6", records, at + 8)
      first = first == 0 and reported or min(first, reported)
      last = max(last, reported)
    end
  end
  if first > 0 then
    names, score = old_names, score_of(records, size, grouped)
    if old_first > floor then first, last = old_first, old_last end
  end
  evaluate(false)
  return "v"
end

local function count(retraction, urgent, time, digest, group, reason)
  if time <= floor then return "l" end
  local at = position(records, size, digest)
  local stood, superseded = false, false

  -- Which of the reporter's events stands
  if at then
    local old_time, old_reason = unpack_from("<I6B", records, at + 8)
    stood = old_reason ~= TOMBSTONE
    superseded = time < old_time or (time == old_time and not (retraction and stood))
    if superseded then
      if retraction then return time == old_time and "d" or "s" end
      if time >= first and time <= last then return stood and "d" or "t" end
    end
  end

  -- Whether the report fits the round; a superseded one is of the round all the same
  if not retraction then
    if first == 0 then
      first, last = time, time
    elseif time > first + window and time > last then
      end_round(max(first + window, last))
      at = position(records, size, digest)
      first, last, stood = time, time, false
    elseif max(last, time) - min(first, time) > window then
      return superseded and (stood and "d" or "t") or "l"
    else
      first, last = min(first, time), max(last, time)
    end
    dirty = true
    if superseded then return stood and "d" or "t" end
  end

  -- Enter it
  if not at and #records >= most_records * size then
    local kept = without_spares(records, size, grouped)
    if #kept >= most_records * size then return "h" end
    records = kept
  end
  if group ~= NO_GROUP and not grouped then
    records, grouped, size = with_groups(records), true, 23
    at = at and (at - 1) / 15 * 23 + 1
  end
  local code = TOMBSTONE
  if not retraction then code, names = name_reason(names, reason) end
  local record = pack("<c8I6B", digest, time, code) .. (grouped and group or "")
  if at then
    records = sub(records, 1, at - 1) .. record .. sub(records, at + size)
  else
    records = records .. record
  end
  dirty = true

  -- Its score
  local before = score
  if grouped or (retraction and stood) then
    score = score_of(records, size, grouped)
  elseif not retraction and not stood then
    score = score + 1
  end
  local outcome = retraction and "r" or score > before and "c" or "d"
  evaluate(urgent)
  return outcome
end

local function tick()
  if reviews then redis.call("ZREM", KEYS[outboxes + outbox], image) end
  if not blocked then evaluate(false) end
  return "k"
end

-- The batch --------------------------------------------------------------------------------------

for n = 1, #events / EVENT_BYTES do
  local i, box, kind, time, digest, group, reason = unpack_from(EVENT, events, (n - 1) * EVENT_BYTES + 1)
  local case = cases[i]
  if case and byte(case, 1) % 4 >= 2 and (kind < UPHELD or kind == URGENT) then
    outcomes[n] = "b"
  else
    event, outbox, image = n, box, sub(KEYS[before_cases + i], key_prefix + 1)
    load(i)
    if kind == UPHELD or kind == CLEARED then
      outcomes[n] = judge(kind - UPHELD + 1, time)
    elseif kind == TICK then
      outcomes[n] = tick()
    else
      outcomes[n] = count(kind == RETRACTION, kind == URGENT, time, digest, group, ARGV[REASONS + reason])
    end
    if dirty then store(i) end
  end
end

for i in pairs(changed) do
  local expires = byte(cases[i], 1) % 2 == 1 and decided_until or open_until
  redis.call("SET", KEYS[before_cases + i], cases[i], "PXAT", expires)
end

if ARGV[8] == "1" then
  for box = 1, outboxes do
    for _, decision in ipairs(redis.call("ZRANGE", KEYS[box], 0, UNSETTLED_AT_MOST - 1)) do
      if not decided_now[decision] then
        reply[#reply + 1] = 0
        reply[#reply + 1] = decision
      end
    end
  end
end

reply[1] = table.concat(outcomes)
return reply
