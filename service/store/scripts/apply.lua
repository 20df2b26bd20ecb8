-- Applies events to their cases and records what that decides, in one atomic step: all of a batch on
-- one server, those of one partition at a time on a Cluster.
-- Idempotent: applying an event again changes nothing. `domain/policy.py` states the same rules plainly.
--
-- KEYS[1..o] the outboxes of the partitions (ZSET: frozen decision -> when to try to publish it next)
-- KEYS[o+1..] the cases, each once; the packed layout is described in store/layout.py
-- ARGV[1]   now, milliseconds
-- ARGV[2]   block threshold
-- ARGV[3]   report window, milliseconds
-- ARGV[4]   when an open case expires, milliseconds
-- ARGV[5]   when a decided case expires, milliseconds
-- ARGV[6]   when the sweep may publish a decision taken now, milliseconds
-- ARGV[7]   hash of the policy
-- ARGV[8]   "1" where the batch may have been applied before
-- ARGV[9]   bytes of a case's key before the image id
-- ARGV[10]  o, how many of the keys are outboxes
-- ARGV[11]  events, packed: case 2, outbox 1, retraction 1, time 6, digest 8, group 8 (zeros: none), reason 2;
--           case, outbox and reason by their number among the keys and arguments, from 1
-- ARGV[12..] the reasons that the events name
--
-- Returns { outcomes, event, decision, event, decision, ... }: one letter an event (c counted, d duplicate,
-- b already blocked, l late, r retracted, t retracted before, s stale, h held); then each decision with
-- the number of the event that brought it, 0 for one found in the outbox of a repeated batch.

local byte, char, find, sub = string.byte, string.char, string.find, string.sub
local pack, unpack_from = struct.pack, struct.unpack

local HEAD, HEAD_BYTES = "<BI6I6I6I2", 21
local EXTRA, EXTRA_BYTES = "<I4I6", 10
local EVENT, EVENT_BYTES = "<I2BBI6c8c8I2", 28
local DECIDED, BLOCKED, GROUPED = 1, 2, 4
local UNSPECIFIED, TOMBSTONE, OTHER = 0, 254, 255
local NO_GROUP = ("\0"):rep(8)
local TABLE_BYTES = 240
local UNSETTLED_AT_MOST = 1000

local now, threshold, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local most_records = 8 * threshold + 64
local key_prefix, outboxes = tonumber(ARGV[9]), tonumber(ARGV[10])
local events = ARGV[11]

local cases = redis.call("MGET", unpack(KEYS, outboxes + 1))
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

-- One event -------------------------------------------------------------------------------------

local function store(i, flags, floor, first, last, score, extra, names, records)
  cases[i] = pack(HEAD, flags, floor, first, last, score) .. extra .. char(#names) .. names .. records
  changed[i] = true
end

local function block(i, outbox, n, flags, first, last, score, extra, names, records, size)
  local revision, decided_at = 0, 0
  if extra ~= "" then revision, decided_at = unpack_from(EXTRA, extra) end
  revision, decided_at = revision + 1, math.max(now, decided_at + 1)
  local decision = cjson.encode({
    image_id = sub(KEYS[outboxes + i], key_prefix + 1),
    action = "block", revision = revision, decided_at = decided_at, state = "blocked",
    trigger = "threshold", automated = true, distinct_reporters = score, threshold = threshold,
    reasons = count_reasons(records, size, names),
    first_reported_at = first, last_reported_at = last, policy = ARGV[7],
  })
  redis.call("ZADD", KEYS[outbox], ARGV[6], decision)
  reply[#reply + 1] = n
  reply[#reply + 1] = decision
  decided_now[decision] = true
  store(i, DECIDED + BLOCKED, last, 0, 0, 0, pack(EXTRA, revision, decided_at), "", "")
end

local function step(n, i, outbox, retraction, time, digest, group, reason)
  local case = cases[i]
  local flags, floor, first, last, score, extra, names, records = 0, 0, 0, 0, 0, "", "", ""
  if case then
    flags = byte(case, 1)
    if flags % GROUPED >= BLOCKED then return "b" end
    flags, floor, first, last, score = unpack_from(HEAD, case)
    local at = HEAD_BYTES + 1
    if flags % BLOCKED == DECIDED then
      extra = sub(case, at, at + EXTRA_BYTES - 1)
      at = at + EXTRA_BYTES
    end
    local names_end = at + byte(case, at)
    names = sub(case, at + 1, names_end)
    records = sub(case, names_end + 1)
  end
  if time <= floor then return "l" end

  local grouped = flags >= GROUPED
  local size = grouped and 23 or 15
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
      floor = math.max(first + window, last)
      records = filter(records, size, function(p) return unpack_from("<I6", records, p + 8) > floor end)
      at = position(records, size, digest)
      first, last, score, names, stood = time, time, 0, "", false
    elseif math.max(last, time) - math.min(first, time) > window then
      return superseded and (stood and "d" or "t") or "l"
    else
      if time < first then first = time end
      if time > last then last = time end
    end
    if superseded then
      store(i, flags, floor, first, last, score, extra, names, records)
      return stood and "d" or "t"
    end
  end

  -- Enter it
  if not at and #records >= most_records * size then
    records = without_spares(records, size, grouped)
  end
  if group ~= NO_GROUP and not grouped then
    records = with_groups(records)
    flags, grouped, size = flags + GROUPED, true, 23
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

  -- Its score
  local outcome, before = "r", score
  if grouped or (retraction and stood) then
    score = score_of(records, size, grouped)
  elseif not retraction and not stood then
    score = score + 1
  end
  if not retraction then outcome = score > before and "c" or "d" end
  if score >= threshold then
    block(i, outbox, n, flags, first, last, score, extra, names, records, size)
  else
    store(i, flags, floor, first, last, score, extra, names, records)
  end
  return outcome
end

-- The batch -------------------------------------------------------------------------------------

for n = 1, #events / EVENT_BYTES do
  local i, outbox, retraction, time, digest, group, reason =
    unpack_from(EVENT, events, (n - 1) * EVENT_BYTES + 1)
  outcomes[n] = step(n, i, outbox, retraction == 1, time, digest, group, ARGV[11 + reason])
end

for i in pairs(changed) do
  local expires = byte(cases[i], 1) % BLOCKED == DECIDED and ARGV[5] or ARGV[4]
  redis.call("SET", KEYS[outboxes + i], cases[i], "PXAT", expires)
end

if ARGV[8] == "1" then
  for outbox = 1, outboxes do
    for _, decision in ipairs(redis.call("ZRANGE", KEYS[outbox], 0, UNSETTLED_AT_MOST - 1)) do
      if not decided_now[decision] then
        reply[#reply + 1] = 0
        reply[#reply + 1] = decision
      end
    end
  end
end

reply[1] = table.concat(outcomes)
return reply
