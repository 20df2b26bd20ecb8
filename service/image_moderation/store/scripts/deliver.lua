-- Publishes decisions and settles them in one step, where broker and store are the same Redis: so each
-- is stored in its stream exactly once, whoever else tries.
--
-- KEYS[2n-1] the outbox of the n-th decision
-- KEYS[2n]   the stream of its channel
-- ARGV[1]    entries of the streams before this id are trimmed; "" trims nothing
-- ARGV[2n]   the n-th decision as it lies in the outbox
-- ARGV[2n+1] its event's JSON
--
-- Returns for each 1 where it was published now, 0 where it had been settled before.

local published = {}
for n = 1, #KEYS / 2 do
  local stream, decision, event = KEYS[2 * n], ARGV[2 * n], ARGV[2 * n + 1]
  published[n] = redis.call("ZREM", KEYS[2 * n - 1], decision)
  if published[n] == 1 then
    if ARGV[1] == "" then
      redis.call("XADD", stream, "*", "__data__", event)
    else
      redis.call("XADD", stream, "MINID", "~", ARGV[1], "*", "__data__", event)
    end
  end
end
return published
