"""W3C Trace Context: the `traceparent` that goes with a report to the decision it causes."""

import re
from collections.abc import Mapping

NAME = "traceparent"
CHARACTERS = 55
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent(headers: Mapping[str, str], attribute: object) -> str | None:
    """Return the trace context of a message: that of its header, else that of the event's attribute.

    An invalid traceparent is ignored, as W3C asks; it never makes a report malformed.
    """
    for found in (headers.get(NAME), attribute):
        if isinstance(found, str) and len(found) == CHARACTERS and _TRACEPARENT.fullmatch(found):
            return found
    return None
