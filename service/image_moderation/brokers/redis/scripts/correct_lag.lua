-- Tells the server how many entries a group has read, once it has been given the last one. Redis 7.0 goes on
-- counting entries that somebody deleted unread (redis#13957), and so does whoever scales by its lag.
--
-- KEYS[1] the stream
-- ARGV[1] the group
--
-- Returns 1 where the number was corrected, 0 where it was right or the group has more to read.

local function pairs_of(list)
  local map = {}
  for n = 1, #list, 2 do map[list[n]] = list[n + 1] end
  return map
end

if redis.call("EXISTS", KEYS[1]) == 0 then return 0 end
local stream = pairs_of(redis.call("XINFO", "STREAM", KEYS[1]))
for _, entry in ipairs(redis.call("XINFO", "GROUPS", KEYS[1])) do
  local group = pairs_of(entry)
  local last = group["last-delivered-id"]
  if group["name"] == ARGV[1] and last == stream["last-generated-id"] and (group["lag"] or 0) ~= 0 then
    redis.call("XGROUP", "SETID", KEYS[1], ARGV[1], last, "ENTRIESREAD", stream["entries-added"])
    return 1
  end
end
return 0
