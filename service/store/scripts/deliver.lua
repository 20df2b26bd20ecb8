-- Publishes a decision and settles it in one step, where broker and store are the same Redis:
-- so it is stored in the stream exactly once, whoever else tries.
--
-- KEYS[1] the partition's outbox
-- KEYS[2] the stream of the decision's channel
-- ARGV[1] the decision as it lies in the outbox
-- ARGV[2] the event's JSON
-- ARGV[3] entries of the stream before this id are trimmed; "" trims nothing
--
-- Returns 1 where it was published now, 0 where it had been settled before.

if redis.call("ZREM", KEYS[1], ARGV[1]) == 0 then return 0 end
if ARGV[3] == "" then
  redis.call("XADD", KEYS[2], "*", "__data__", ARGV[2])
else
  redis.call("XADD", KEYS[2], "MINID", "~", ARGV[3], "*", "__data__", ARGV[2])
end
return 1
