-- Takes members whose time has come, and moves that time on so that nobody else takes them: decisions to be
-- published, or images to be looked at again.
--
-- KEYS[1] a partition's outbox, or its withheld blocks
-- ARGV[1] now, milliseconds
-- ARGV[2] when they may be taken next, milliseconds
-- ARGV[3] at most so many
--
-- Returns the members, the longest overdue first.

local due = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", ARGV[1], "LIMIT", 0, ARGV[3])
for _, member in ipairs(due) do
  redis.call("ZADD", KEYS[1], "XX", ARGV[2], member)
end
return due
