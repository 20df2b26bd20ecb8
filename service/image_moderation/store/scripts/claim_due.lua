-- Claims members whose time has come, and moves that time on so that no other caller claims them: decisions to
-- be published, or images to be looked at again.
--
-- KEYS[1]  a partition's outbox, or its withheld blocks
-- ARGV     now, next_try, limit: the fields of ClaimDueArguments in store/arguments.py
--
-- Returns the members, the longest overdue first.

local due = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", now, "LIMIT", 0, limit)
for _, member in ipairs(due) do
  redis.call("ZADD", KEYS[1], "XX", next_try, member)
end
return due
