-- What a counted report or a deadline calls for.

local function evaluate(urgent)
  if score < block_threshold and not urgent and review_threshold == 0 then return end
  if shadow and shadow_blocked then
    if withheld then withheld, dirty = false, true end
    return
  end
  local asked, asked_by_breaker = requested()
  if score < block_threshold then
    if asked > 0 then return end
    if urgent then return ask("urgent_reason") end
    if review_threshold > 0 and score >= review_threshold then ask("review_threshold") end
    return
  end
  if review_grace > 0 then
    if asked == 0 and (urgent or review_threshold > 0) then
      ask(urgent and "urgent_reason" or "review_threshold")
      asked = requested()
    end
    if asked > 0 and now < asked + review_grace then return withhold(asked + review_grace) end
  end
  if blocks_left then
    if blocks_left <= 0 then
      if not asked_by_breaker then ask("breaker") end
      return withhold(now + BREAKER_RETRY)
    end
    if not shadow then blocks_left = blocks_left - 1 end
  end
  block("threshold")
end
