-- Publishes an event unless it was published within a day, for a store that is not this Redis.
--
-- KEYS[1] the stream
-- KEYS[2] the marker of the event, in the stream's slot
-- ARGV[1] the event's JSON
-- ARGV[2] seconds that the marker is kept
-- ARGV[3] entries of the stream before this id are trimmed; "" trims nothing
--
-- Returns 1 where it was published now, 0 where it had been.

if not redis.call("SET", KEYS[2], "1", "NX", "EX", ARGV[2]) then return 0 end
if ARGV[3] == "" then
  redis.call("XADD", KEYS[1], "*", "__data__", ARGV[1])
else
  redis.call("XADD", KEYS[1], "MINID", "~", ARGV[3], "*", "__data__", ARGV[1])
end
return 1
