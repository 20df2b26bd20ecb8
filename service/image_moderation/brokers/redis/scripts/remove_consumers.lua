-- Removes consumers that own nothing and have been idle, in one step: a consumer that is given an entry
-- meanwhile would lose it.
--
-- KEYS[1] the stream
-- ARGV[1] the group
-- ARGV[2] idle at least so long, milliseconds
-- ARGV[3] names beginning with this only; "" takes any
--
-- Returns how many were removed.

if redis.call("EXISTS", KEYS[1]) == 0 then return 0 end
local removed = 0
for _, entry in ipairs(redis.call("XINFO", "CONSUMERS", KEYS[1], ARGV[1])) do
  local consumer = {}
  for n = 1, #entry, 2 do consumer[entry[n]] = entry[n + 1] end
  local ours = consumer["name"]:sub(1, #ARGV[3]) == ARGV[3]
  if ours and consumer["pending"] == 0 and consumer["idle"] >= tonumber(ARGV[2]) then
    redis.call("XGROUP", "DELCONSUMER", KEYS[1], ARGV[1], consumer["name"])
    removed = removed + 1
  end
end
return removed
