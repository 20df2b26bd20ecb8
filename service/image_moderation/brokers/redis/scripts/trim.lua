-- Trims a stream of what every one of its groups has acked.
--
-- KEYS[1] the stream
--
-- Returns how many entries went. Nothing that a group has not read, or has pending, ever goes; a
-- stream without a group is left alone.

local function pairs_of(list)
  local map = {}
  for n = 1, #list, 2 do map[list[n]] = list[n + 1] end
  return map
end

local function before(a, b)
  local a_time, a_number = a:match("^(%d+)-(%d+)$")
  local b_time, b_number = b:match("^(%d+)-(%d+)$")
  if a_time ~= b_time then return tonumber(a_time) < tonumber(b_time) end
  return tonumber(a_number) < tonumber(b_number)
end

if redis.call("EXISTS", KEYS[1]) == 0 then return 0 end
local least
for _, entry in ipairs(redis.call("XINFO", "GROUPS", KEYS[1])) do
  local group = pairs_of(entry)
  local needed = group["last-delivered-id"]
  if group["pending"] > 0 then
    needed = redis.call("XPENDING", KEYS[1], group["name"])[2]
  end
  if not least or before(needed, least) then least = needed end
end
if not least then return 0 end
return redis.call("XTRIM", KEYS[1], "MINID", least)
