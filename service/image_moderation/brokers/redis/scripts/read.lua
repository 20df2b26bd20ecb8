-- Gives new entries of a stream to a consumer, until they are many or large: XREADGROUP itself can't count
-- bytes.
--
-- KEYS[1] the stream
-- ARGV[1] the group
-- ARGV[2] the consumer
-- ARGV[3] most entries
-- ARGV[4] bytes of names and values after which no more are read
-- ARGV[5] entries after which the bytes are counted
--
-- Returns the entries as XREADGROUP does, an empty list where there are none.

local entries, count, bytes = {}, 0, 0
local most, enough, step = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
while count < most and bytes < enough do
  local asked = math.min(step, most - count)
  local reply = redis.call("XREADGROUP", "GROUP", ARGV[1], ARGV[2], "COUNT", asked, "STREAMS", KEYS[1], ">")
  if not reply then break end
  local found = reply[1][2]
  for n = 1, #found do
    local fields = found[n][2]
    entries[count + n] = found[n]
    for k = 1, #fields do bytes = bytes + #fields[k] end
  end
  count = count + #found
  if #found < asked then break end
end
return entries
