"""The fields of events: what each takes, and its description in the JSON Schemas."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

REASON_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"

# No control characters: logs and terminals hide them, and no identifier needs one.
_PLAIN = r"^[^\x00-\x1f\x7f-\x9f]*$"
# `[0-9]`, because `\d` matches the digits of every script. Hours to 23 and no leap second, because versions
# of Python differ there.
_DATE = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_MINUTES = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_RFC3339 = rf"^{_DATE}[Tt ]{_MINUTES}:[0-5][0-9](\.[0-9]+)?([Zz]|[+-]{_MINUTES})$"
PATTERNS = {
    REASON_PATTERN: "takes 1 to 64 of a-z 0-9 . _ - and begins with a letter or a digit",
    _PLAIN: "has a control character",
    _RFC3339: "takes RFC 3339 with a time zone, such as 2026-11-23T10:00:00Z",
}
"""The words about a text that a pattern refuses."""

ImageId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=512, pattern=_PLAIN),
    Field(description="The image, by the site's own id.", examples=["img-42"]),
]
ReporterId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=256, pattern=_PLAIN),
    Field(
        description="Who reported, by the site's own stable id. Only a keyed digest of it is stored.",
        examples=["user-7"],
    ),
]
Group = Annotated[
    str,
    StringConstraints(min_length=1, max_length=256, pattern=_PLAIN),
    Field(
        description="An opaque key of the producer's, such as a device or network cluster. "
        "All reporters of one group count once.",
        examples=["device-9f"],
    ),
]
Reason = Annotated[
    str,
    StringConstraints(pattern=REASON_PATTERN),
    Field(description="Why, in a word of the site's own; `unspecified` if absent.", examples=["nudity"]),
]
ModeratorId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=256, pattern=_PLAIN),
    Field(description="Who judged, by the site's own id. Checked and not kept.", examples=["mod-3"]),
]
_Text = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=_PLAIN)]
EventId = Annotated[
    _Text,
    Field(description="Unique with `source`; the same whenever the same event is sent again."),
]
Source = Annotated[_Text, Field(description="Who sent it, a URI reference.", examples=["/gallery"])]
Time = Annotated[
    str,
    StringConstraints(pattern=_RFC3339),
    Field(
        description="RFC 3339 with a zone. When the person acted; reuse it when sending again.",
        json_schema_extra={"format": "date-time"},
        examples=["2026-11-23T10:00:00Z"],
    ),
]
Stamp = Annotated[
    str,
    StringConstraints(pattern=rf"^{_DATE}T{_MINUTES}:[0-5][0-9]\.[0-9]{{3}}Z$"),
    Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-23T10:00:07.123Z"]),
]
Spec = Annotated[Literal["1.0"], Field(description="The version of CloudEvents.")]
Sender = Annotated[Literal["/image-moderation"], Field(description="This service.")]
ContentType = Annotated[Literal["application/json"], Field(description="What `data` is.")]
Trace = Annotated[
    Any,  # an invalid one must not make a report malformed
    Field(
        description="W3C Trace Context, carried to the decision that it causes; ignored where it is none.",
        json_schema_extra={"type": "string"},
        examples=["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
    ),
]
