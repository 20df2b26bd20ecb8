-- Takes decisions whose time to be tried has come, and moves that time on so that nobody else takes them.
--
-- KEYS[1] a partition's outbox
-- ARGV[1] now, milliseconds
-- ARGV[2] when they may be taken next, milliseconds
-- ARGV[3] at most so many
--
-- Returns the decisions, oldest try first.

local due = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", ARGV[1], "LIMIT", 0, ARGV[3])
for _, decision in ipairs(due) do
  redis.call("ZADD", KEYS[1], "XX", ARGV[2], decision)
end
return due
