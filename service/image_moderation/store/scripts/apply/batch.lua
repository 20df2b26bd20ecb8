-- The batch: applies each event, stores the changed cases, and answers.

-- Reads the case with this number and some after it: more at once as long as they are small.
local function fetch(first)
  local final, bytes = min(first + at_once - 1, #KEYS - before_cases), 0
  local values = redis.call("MGET", unpack(KEYS, before_cases + first, before_cases + final))
  for i = first, final do
    local value = values[i - first + 1]
    if cases[i] == nil then cases[i] = value end
    if value then bytes = bytes + #value end
  end
  work = work + bytes
  if bytes < SMALL and at_once < CASES_AT_ONCE then at_once = 2 * at_once end
end

local given, applied = #events / EVENT_BYTES, 0
for n = 1, given do
  if work > WORK_AT_MOST then break end
  applied = n
  local i, box, kind, time, digest, group, reason = unpack_from(EVENT, events, (n - 1) * EVENT_BYTES + 1)
  if cases[i] == nil then fetch(i) end
  local case = cases[i]
  local is_report = kind == KIND_REPORT or kind == KIND_RETRACTION or kind == KIND_URGENT_REPORT
  if is_report and kind ~= KIND_RETRACTION and case and byte(case, 1) % (2 * BLOCKED) >= BLOCKED then
    outcomes[n] = ALREADY_BLOCKED  -- without loading it
    work = work + EVENT_WORK
  elseif kind == KIND_REPORT and group == NO_GROUP and enter_one_more(i, case, time, digest, reason) then
    outcomes[n] = COUNTED
  else
    event, outbox, key = n, box, KEYS[before_cases + i]
    load(case)
    if is_report then
      outcomes[n] = apply_report(kind, time, digest, group, ARGV[before_reasons + reason])
    elseif kind == KIND_UPHELD then
      outcomes[n] = apply_review(VERDICT_UPHELD, time)
    elseif kind == KIND_CLEARED then
      outcomes[n] = apply_review(VERDICT_CLEARED, time)
    elseif kind == KIND_TICK then
      redis.call("ZREM", KEYS[outboxes + outbox], image_id())
      if withheld then
        slide(window_start(last))
        still_waiting()
        evaluate(false)
      end
      outcomes[n] = TICKED
    end
    work = work + EVENT_WORK + BYTE_WORK * #records
    if dirty then cases[i], changed[i] = dump() end
  end
end

for i, expires in pairs(changed) do
  redis.call("SET", KEYS[before_cases + i], cases[i], "PXAT", expires)
end

if retried and applied == given then
  local left = UNSETTLED_AT_MOST
  for box = 1, outboxes do
    if left == 0 then break end
    local unsettled = redis.call("ZRANGE", KEYS[box], 0, left - 1)
    left = left - #unsettled
    for _, decision in ipairs(unsettled) do
      if not decided_now[decision] then
        reply[#reply + 1] = 0
        reply[#reply + 1] = decision
      end
    end
  end
end

reply[1] = table.concat(outcomes)
return reply
