-- Publishes the original of a dead letter and deletes the letter with all its copies, in one step: two
-- who redrive it at once publish it once. Both streams lie in one Redis.
--
-- KEYS[1] the stream of dead letters
-- KEYS[2] the stream that the original goes back to
-- ARGV[1] how many copies of the letter there are
-- ARGV[2..] their entry ids, then the names and values of the original's fields in turn
--
-- Returns the id of the new entry; nil where a copy is gone, and then nothing has changed.

local copies = tonumber(ARGV[1])
local ids, fields = { unpack(ARGV, 2, copies + 1) }, { unpack(ARGV, copies + 2) }
for _, id in ipairs(ids) do
  if #redis.call("XRANGE", KEYS[1], id, id) == 0 then return false end
end
-- First published, then deleted: what the server refuses to publish stays a letter.
local position = redis.call("XADD", KEYS[2], "*", unpack(fields))
redis.call("XDEL", KEYS[1], unpack(ids))
return position
