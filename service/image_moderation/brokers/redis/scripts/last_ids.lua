-- Says how far streams have come.
--
-- KEYS the streams
--
-- Returns the last id given out by each, in order; "0-0" for a stream that is missing.

local ids = {}
for n, key in ipairs(KEYS) do
  ids[n] = "0-0"
  if redis.call("EXISTS", key) == 1 then
    local info = redis.call("XINFO", "STREAM", key)
    for at = 1, #info, 2 do
      if info[at] == "last-generated-id" then ids[n] = info[at + 1] end
    end
  end
end
return ids
