-- The batch: applies each event, stores the changed cases, and answers.

for n = 1, #events / EVENT_BYTES do
  local i, box, kind, time, digest, group, reason = unpack_from(EVENT, events, (n - 1) * EVENT_BYTES + 1)
  local case = cases[i]
  local is_report = kind == KIND_REPORT or kind == KIND_RETRACTION or kind == KIND_URGENT_REPORT
  if is_report and kind ~= KIND_RETRACTION and case and byte(case, 1) % (2 * BLOCKED) >= BLOCKED then
    outcomes[n] = ALREADY_BLOCKED  -- without loading it
  else
    event, outbox, image = n, box, sub(KEYS[before_cases + i], key_prefix + 1)
    load(case)
    if is_report then
      outcomes[n] = apply_report(kind, time, digest, group, ARGV[before_reasons + reason])
    elseif kind == KIND_UPHELD then
      outcomes[n] = apply_review(VERDICT_UPHELD, time)
    elseif kind == KIND_CLEARED then
      outcomes[n] = apply_review(VERDICT_CLEARED, time)
    elseif kind == KIND_TICK then
      redis.call("ZREM", KEYS[outboxes + outbox], image)
      if withheld then
        slide(window_start(last))
        still_waiting()
        evaluate(false)
      end
      outcomes[n] = TICKED
    end
    if dirty then cases[i], changed[i] = dump(), true end
  end
end

for i in pairs(changed) do
  local flags = byte(cases[i], 1)
  local expires = (flags >= WAITING or flags % (2 * DECIDED) >= DECIDED) and decided_until or open_until
  redis.call("SET", KEYS[before_cases + i], cases[i], "PXAT", expires)
end

if retried then
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
