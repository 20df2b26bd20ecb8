-- Applies events to their cases and records what that decides, in one atomic step: all of a batch on one
-- server, those of one partition at a time on a Cluster. Applying an event again changes nothing.
--
-- `domain/rules` states the rule plainly, in modules and functions of the same names in the same order.
-- `store/lua.py` joins the parts of this folder (header, case, reasons, records, decisions, evaluation, reports,
-- reviews, one_more, batch), writes each argument before them as a local, and each constant, in capitals, in its
-- place.
--
-- KEYS[1..o]  the outboxes of the call's partitions (ZSET: frozen decision -> when to try to publish it next)
-- KEYS[..3o]  with `waiting_sets` only: the partitions' withheld blocks (ZSET: image -> when to look again),
--             then their unanswered reviews (ZSET: image -> when it was requested)
-- KEYS[..]    the cases, each once; store/layout.py describes the packed layout
--
-- ARGV, the fields of ApplyArguments in store/arguments.py, which describes them; times in milliseconds:
--   now, block_threshold, report_window, most_records, immunity
--   review_threshold, review_grace, waiting_sets, shadow    0 or false where the option is off
--   blocks_left                                             nil without a breaker
--   policy_hash
--   open_until, decided_until, sweep_at                     text: only passed on to commands
--   retried                                                 whether the batch may have been applied before
--   outboxes                                                o, how many of the keys are outboxes
--   key_prefix                                              bytes of a case's key before the image id
--   events                                                  packed as EVENT; see store/packing.py
--   traces                                                  TRACE_BYTES an event, or ""
--   reasons                                                 the n-th is ARGV[before_reasons + n]
--
-- Returns { outcomes, event, decision, event, decision, ... }
--   outcomes    one letter for each event that was applied, the others need another call: COUNTED, DUPLICATE,
--               ALREADY_BLOCKED, LATE, RETRACTED, RETRACTED_BEFORE, STALE, HELD, UPHELD, CLEARED, TICKED;
--               store/replies.py has the letters
--   event       the number of the event that brought the decision: negative for a decision of shadow mode, which
--               is never published; 0 for one found in the outbox of a retried batch
--   decision    the frozen decision, JSON, as it lies in the outbox

local byte, char, find, sub = string.byte, string.char, string.find, string.sub
local pack, unpack_from = struct.pack, struct.unpack
local max, min = math.max, math.min

local work = 0  -- done so far; see `store/packing.py`
local before_cases = waiting_sets and 3 * outboxes or outboxes

local cases, changed, decided_now = {}, {}, {}
local at_once = CASES_AT_ONCE / 8  -- cases to read in one go
local reply, outcomes = { "" }, {}
