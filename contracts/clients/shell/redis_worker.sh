#!/bin/sh
# Prints decisions as they are applied: REDIS_URL=redis://localhost:6379 sh redis_worker.sh
# The site's record is the hash "gallery:applied" in the same Redis, until a year after the last one. So one script can read, apply and acknowledge:
# a worker that dies has nothing in hand, and several share the work. Needs redis-cli 7 for its -e.
script='
  local acts, lines = {["image.blocked.v1"] = "block", ["image.unblocked.v1"] = "unblock"}, {}
  for _, channel in ipairs({"image.blocked", "image.unblocked"}) do
    redis.pcall("XGROUP", "CREATE", channel, ARGV[1], "0", "MKSTREAM")
    local found = redis.call("XREADGROUP", "GROUP", ARGV[1], "any", "COUNT", 100, "STREAMS", channel, ">")
    for _, entry in ipairs(found and found[1][2] or {}) do
      local event = cjson.decode(entry[2][2])
      local act, id, decided_at = acts[event.type], event.data.image_id, event.data.decided_at
      local applied = redis.call("HGET", "gallery:applied", id) or ""
      if act and decided_at > applied:sub(1, #decided_at) then
        redis.call("HSET", "gallery:applied", id, decided_at .. " " .. act)
        redis.call("EXPIRE", "gallery:applied", 31536000)
        table.insert(lines, act .. " " .. id)
      end
      redis.call("XACK", channel, ARGV[1], entry[1])
    end
  end
  return table.concat(lines, "\n")'
while :; do
  acts=$(redis-cli -e -u "$REDIS_URL" --raw EVAL "$script" 0 "${GROUP:-gallery}") && [ -n "$acts" ] && echo "$acts"
  sleep 1
done
