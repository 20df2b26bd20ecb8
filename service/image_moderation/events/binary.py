"""CloudEvents in binary mode: the attributes are headers of the message, the body is the data alone.

The attribute `id` is the header `ce_id` on Kafka, `cloudEvents:id` or `cloudEvents_id` on AMQP, and `ce-id`
on NATS. A message in binary mode is turned into a structured one here, for the one parser.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from pydantic_core import from_json, to_json

from image_moderation.events.render import stamp

PREFIXES = ("ce_", "ce-", "cloudevents:", "cloudevents_")
CONTENT_TYPE = "content-type"
"""The header that tells the two modes apart."""
STRUCTURED = "application/cloudevents+json"
"""The content type of an event in structured mode, as this service sends it."""
_ANY_STRUCTURED = "application/cloudevents"
_MILLISECONDS = re.compile(r"[0-9]{13}")
"""The years 2001 to 2286 since 1970: fewer digits are seconds, more are micro- or nanoseconds."""


def attributes(headers: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the event's attributes if `headers` are those of binary mode, else None.

    A `time` that is no number of milliseconds stays as it is, for the parser to judge.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    content_type = lower.get(CONTENT_TYPE, "")
    prefix = next((one for one in PREFIXES if f"{one}specversion" in lower), None)
    if prefix is None or content_type.lower().startswith(_ANY_STRUCTURED):
        return None
    found: dict[str, Any] = {
        name.removeprefix(prefix): value for name, value in lower.items() if name.startswith(prefix)
    }
    if prefix == "ce-":
        # On NATS other characters than printable ASCII are percent-encoded; the others write UTF-8.
        found = {name: unquote(value) for name, value in found.items()}
    elif _MILLISECONDS.fullmatch(found.get("time", "")):
        # AMQP's own type for times: milliseconds.
        found["time"] = stamp(int(found["time"]))
    if content_type:
        found.setdefault("datacontenttype", content_type)
    return found


def structured(found: dict[str, Any], body: bytes) -> bytes:
    """Return the event in structured mode, the body in it unchanged: so both modes read it alike.

    Raises:
        ValueError: the body is not JSON.
    """
    from_json(body, allow_inf_nan=False)  # else a body that is no single value could add attributes
    attributes_alone = to_json({name: value for name, value in found.items() if name != "data"})
    return attributes_alone[:-1] + b',"data":' + body + b"}"


def is_json(content_type: str) -> bool:
    """Return whether data of that type is JSON; an empty type means JSON."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type in ("", "application/json", "text/json") or media_type.endswith("+json")
