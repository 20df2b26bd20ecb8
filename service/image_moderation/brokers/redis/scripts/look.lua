-- Looks at a stream and one of its groups, all at one moment and without any entry's content.
--
-- KEYS[1] the stream
-- ARGV[1] the group
--
-- Returns { entries in the stream, id of the newest ("" for none), last id delivered, lag (-1
-- where the server doesn't know it), entries pending, id of the oldest pending ("" for none) }; nil where the
-- group is missing.

local function pairs_of(list)
  local map = {}
  for n = 1, #list, 2 do map[list[n]] = list[n + 1] end
  return map
end

if redis.call("EXISTS", KEYS[1]) == 0 then return false end
local stream = pairs_of(redis.call("XINFO", "STREAM", KEYS[1]))
local newest = stream["last-entry"] and stream["last-entry"][1] or ""
for _, entry in ipairs(redis.call("XINFO", "GROUPS", KEYS[1])) do
  local group = pairs_of(entry)
  if group["name"] == ARGV[1] then
    local oldest = ""
    if group["pending"] > 0 then oldest = redis.call("XPENDING", KEYS[1], ARGV[1])[2] end
    return {
      stream["length"], newest, group["last-delivered-id"], group["lag"] or -1,
      group["pending"], oldest,
    }
  end
end
return false
