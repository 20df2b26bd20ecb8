-- Removes a case. If something was decided about it, the time of that stays for a while, so that `decided_at` never
-- goes back, not even where another replica with a clock behind decides next.
--
-- KEYS[1]  the case
-- KEYS[2]  its partition's withheld blocks
-- KEYS[3]  its partition's unanswered reviews
-- ARGV, the fields of ForgetArguments in store/arguments.py: image, remembered
--
-- Returns 1 if there was a case, 0 if nothing was known, or only such a time.

local case = redis.pcall("GET", KEYS[1])
redis.call("ZREM", KEYS[2], image)
redis.call("ZREM", KEYS[3], image)
if not case then return 0 end
if type(case) == "string" and #case > HEAD_BYTES + DECIDED_PART_BYTES
    and case:byte(1) % (2 * DECIDED) >= DECIDED then
  local _, decided_at = struct.unpack(DECIDED_PART, case, HEAD_BYTES + 1)
  local rest = struct.pack(HEAD, DECIDED, 0, 0, 0) .. struct.pack(DECIDED_PART, 0, decided_at, 0, 0, 0) .. "\0"
  if case == rest then return 0 end
  redis.call("SET", KEYS[1], rest, "PX", remembered)
else
  redis.call("UNLINK", KEYS[1])
end
return 1
