-- Publishes decisions and settles them in one step, where broker and store are the same Redis: so each
-- is stored in its stream exactly once, whoever else tries.
--
-- KEYS[2n-1]  the outbox of the n-th decision
-- KEYS[2n]    the stream of its channel
-- ARGV, the fields of DeliverArguments in store/arguments.py:
--   oldest_kept   entries of the streams before this id are trimmed; "" trims nothing
--   publications  the n-th pair is the decision as it lies in the outbox and its event's JSON
--
-- Returns for each 1 if it was published now, 0 if it had been settled before.

local published = {}
for n = 1, #KEYS / 2 do
  local stream = KEYS[2 * n]
  local decision, event = ARGV[before_publications + 2 * n - 1], ARGV[before_publications + 2 * n]
  published[n] = redis.call("ZREM", KEYS[2 * n - 1], decision)
  if published[n] == 1 then
    if oldest_kept == "" then
      redis.call("XADD", stream, "*", "__data__", event)
    else
      redis.call("XADD", stream, "MINID", "~", oldest_kept, "*", "__data__", event)
    end
  end
end
return published
