"""What each event looks like: CloudEvents 1.0, JSON, structured mode.

The types are TypedDicts, because one is checked for every message and a dictionary is what the JSON
reader gives. Unknown fields are ignored on input; on output fields are only ever added.
"""

from typing import Annotated, Literal, NotRequired

from pydantic import Field, StringConstraints, TypeAdapter
from typing_extensions import TypedDict

REPORTED_CHANNEL = "image.reported"
BLOCKED_CHANNEL = "image.blocked"
DEAD_LETTER_CHANNEL = "image.dead-letter"

REPORTED = "image.reported.v1"
RETRACTED = "image.report-retracted.v1"
BLOCKED = "image.blocked.v1"
DEAD_LETTER = "image.dead-letter.v1"

SOURCE = "/image-moderation"

# No control character: they hide in logs and terminals and no identifier needs one.
_PLAIN = r"^[^\x00-\x1f\x7f-\x9f]*$"
# Digits are spelled out, for `\d` takes every script's; hours to 23 and no leap second, for Python's own
# reader differs from version to version there.
_DATE = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_MINUTES = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_RFC3339 = rf"^{_DATE}[Tt ]{_MINUTES}:[0-5][0-9](\.[0-9]{{1,9}})?([Zz]|[+-]{_MINUTES})$"

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
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$"),
    Field(description="Why, in a word of the site's own; `unspecified` if absent.", examples=["nudity"]),
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


class _Attributes(TypedDict):
    specversion: Spec
    id: EventId
    source: Source
    # To CloudEvents an attribute that is null is one that is absent.
    time: NotRequired[Time | None]


class ReportedData(TypedDict):
    """One person's statement that one image should be looked at."""

    image_id: ImageId
    reporter_id: ReporterId
    reason: NotRequired[Reason]
    reporter_group: NotRequired[Group]


class RetractedData(TypedDict):
    """The same person takes an earlier report back."""

    image_id: ImageId
    reporter_id: ReporterId


class Reported(_Attributes):
    """A person reported an image."""

    type: Annotated[Literal["image.reported.v1"], Field(description="What happened.")]
    data: ReportedData


class Retracted(_Attributes):
    """A person withdrew a report of an image."""

    type: Annotated[Literal["image.report-retracted.v1"], Field(description="What happened.")]
    data: RetractedData


class BlockedData(TypedDict):
    """The decision and the facts it relied on."""

    image_id: Annotated[str, Field(description="The image to block.")]
    revision: Annotated[int, Field(ge=1, description="1, 2, 3, … for one image; gaps are allowed.")]
    state: Annotated[str, Field(description="The image's state after the decision: `blocked`. Open.")]
    decided_at: Annotated[Stamp, Field(description="Grows strictly per image; apply only a newer one.")]
    automated: Annotated[bool, Field(description="True where no person took the decision.")]
    trigger: Annotated[str, Field(description="What brought it about: `threshold`. Open.")]
    distinct_reporters: Annotated[
        int, Field(ge=0, description="How many counted; all reporters of one group count once.")
    ]
    threshold: Annotated[int, Field(ge=1, description="How many had to.")]
    reasons: Annotated[
        dict[str, int], Field(description="Reporters by reason; sums to reporters, not to groups.")
    ]
    first_reported_at: Annotated[Stamp, Field(description="The earliest report that counts.")]
    last_reported_at: Annotated[Stamp, Field(description="The latest report that counts.")]
    policy: Annotated[str, Field(description="Short stable hash of the effective policy.")]


class Blocked(TypedDict):
    """An image is blocked from now on."""

    specversion: Spec
    id: Annotated[
        str, Field(description="uuid5 of image id, decided_at, revision and type: one id, one content.")
    ]
    source: Sender
    type: Annotated[Literal["image.blocked.v1"], Field(description="What happened.")]
    subject: Annotated[str, Field(description="The image id.")]
    time: Annotated[Stamp, Field(description="The same as `decided_at`.")]
    datacontenttype: ContentType
    data: BlockedData


class DeadLetterData(TypedDict):
    """A message that could not be understood, kept whole with the reason why."""

    reason: Annotated[str, Field(description="One of a known few. Open.", examples=["not_json"])]
    error: Annotated[str, Field(description="One line for a person.")]
    channel: Annotated[str, Field(description="Where it came from.")]
    position: Annotated[str, Field(description="Its position there.")]
    deliveries: Annotated[int, Field(ge=1, description="How often it had been delivered.")]
    size: Annotated[int, Field(ge=0, description="Bytes of the original body.")]
    sha256: Annotated[str, Field(description="Of the original body, hexadecimal.")]
    truncated: Annotated[bool, Field(description="True where `body` holds the beginning only.")]
    body: Annotated[str, Field(description="The original bytes, base64, at most 256 KiB of them.")]
    headers: Annotated[dict[str, str], Field(description="The message's other fields or headers.")]


class ParkedLetter(TypedDict):
    """A message that could not be understood is parked."""

    specversion: Spec
    id: Annotated[str, Field(description="uuid5 of channel and position: a repeat is recognised.")]
    source: Sender
    type: Annotated[Literal["image.dead-letter.v1"], Field(description="What happened.")]
    time: Annotated[Stamp, Field(description="When it was parked.")]
    datacontenttype: ContentType
    data: DeadLetterData


Incoming = Annotated[Reported | Retracted, Field(discriminator="type")]

INCOMING: TypeAdapter[Reported | Retracted] = TypeAdapter(Incoming)
REPORTED_TYPES = frozenset({REPORTED, RETRACTED})
