"""Recognises what FastStream's own `publish` wraps around a body on Redis: a dead letter then says so."""

from pydantic_core import from_json

_MAGIC = b"\x89BIN\r\n\x1a\n"
"""The beginning of its binary frame (0.6 and later)."""
_HINT = "publish the event's JSON alone, as contracts/README.md shows for FastStream"


def frame(body: bytes) -> str:
    """Return the error for a body that FastStream has wrapped, one line for a person; "" for any other."""
    if body.startswith(_MAGIC):
        return f"FastStream's private binary frame is around the body: {_HINT}"
    if b'"headers"' in body and _is_envelope(body):
        return f"FastStream's private JSON envelope is around the body: {_HINT}"
    return ""


def _is_envelope(body: bytes) -> bool:
    """Return whether this is `{"data": "…", "headers": {…}}`, as FastStream before 0.6 wrote."""
    try:
        found = from_json(body)
    except ValueError:
        return False
    return (
        isinstance(found, dict)
        and found.keys() == {"data", "headers"}
        and isinstance(found["data"], str)
        and isinstance(found["headers"], dict)
    )
