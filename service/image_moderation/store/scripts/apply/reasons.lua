-- The table of reasons: each is named once in a case, and records have its code. `name_reason` of domain/case.py.

local function is_named(code) return code ~= UNSPECIFIED_CODE and code ~= OTHER_CODE and code ~= TOMBSTONE end

-- The text that a code stands for in a table of reasons.
local function reason_of(code, table)
  if code == UNSPECIFIED_CODE then return UNSPECIFIED end
  if code == OTHER_CODE then return OTHER end
  return sub(table, code + 1, find(table, "\0", code + 1, true) - 1)
end

-- Adds the reason to the table. Returns its code, nil if there is no room.
local function add_reason(reason)
  if reasons == "" then reasons = "\0" end
  if #reasons + #reason + 1 > REASON_TABLE_BYTES then return nil end
  local code = #reasons
  reasons = reasons .. reason .. "\0"
  return code
end

-- Writes the table anew from the records, some of which may have slid out of the window since.
local function name_anew()
  note_scan()
  local old_reasons, codes, renamed = reasons, {}, {}
  reasons = ""
  for at = 1, #records, size do
    local code = byte(records, at + REASON_AT)
    if is_named(code) then
      codes[code] = codes[code] or add_reason(reason_of(code, old_reasons))
      code = codes[code]
    end
    renamed[#renamed + 1] = sub(records, at, at + REASON_AT - 1) .. char(code)
      .. sub(records, at + REASON_AT + 1, at + size - 1)
  end
  records = table.concat(renamed)
end

local delimited = {}  -- reasons as they stand in a table, made once a call

-- Returns the reason's code, after it was added to the table if need be.
local function name_reason(reason)
  if reason == UNSPECIFIED then return UNSPECIFIED_CODE end
  if reason == OTHER then return OTHER_CODE end
  local text = delimited[reason] or "\0" .. reason .. "\0"
  delimited[reason] = text
  local code = find(reasons, text, 1, true) or add_reason(reason)
  if code then return code end
  name_anew()
  return add_reason(reason) or OTHER_CODE
end
