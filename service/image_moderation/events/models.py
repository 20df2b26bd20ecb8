"""What each event looks like: CloudEvents 1.0, JSON, structured mode.

The types are TypedDicts, because one is checked for every message and a dictionary is what the JSON
reader gives. Unknown fields are ignored on input; on output fields are only ever added.
"""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, StringConstraints, TypeAdapter
from typing_extensions import TypedDict

REPORTED_CHANNEL = "image.reported"
REVIEWED_CHANNEL = "image.reviewed"
BLOCKED_CHANNEL = "image.blocked"
UNBLOCKED_CHANNEL = "image.unblocked"
REVIEW_CHANNEL = "image.review-requested"
DEAD_LETTER_CHANNEL = "image.dead-letter"
DECISION_CHANNELS = (BLOCKED_CHANNEL, UNBLOCKED_CHANNEL, REVIEW_CHANNEL)
CHANNELS = (REPORTED_CHANNEL, REVIEWED_CHANNEL, *DECISION_CHANNELS, DEAD_LETTER_CHANNEL)

REPORTED = "image.reported.v1"
RETRACTED = "image.report-retracted.v1"
REVIEWED = "image.reviewed.v1"
BLOCKED = "image.blocked.v1"
UNBLOCKED = "image.unblocked.v1"
REVIEW_REQUESTED = "image.review-requested.v1"
DEAD_LETTER = "image.dead-letter.v1"

SOURCE = "/image-moderation"
UPHELD, CLEARED = "upheld", "cleared"

REASON_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"

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
    Any,  # what is none must not cost a report
    Field(
        description="W3C Trace Context, carried to the decision that it causes; ignored where it is none.",
        json_schema_extra={"type": "string"},
        examples=["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
    ),
]


class _Attributes(TypedDict):
    specversion: Spec
    id: EventId
    source: Source
    # To CloudEvents an attribute that is null is one that is absent.
    time: NotRequired[Time | None]
    traceparent: NotRequired[Trace]


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


class ReviewedData(TypedDict):
    """A moderator's word on one image."""

    image_id: ImageId
    verdict: Annotated[
        Literal["upheld", "cleared"],
        Field(description="`upheld`: the image is to be blocked. `cleared`: it is not, for a while."),
    ]
    moderator_id: NotRequired[ModeratorId]


class Reported(_Attributes):
    """A person reported an image."""

    type: Annotated[Literal["image.reported.v1"], Field(description="What happened.")]
    data: ReportedData


class Retracted(_Attributes):
    """A person withdrew a report of an image."""

    type: Annotated[Literal["image.report-retracted.v1"], Field(description="What happened.")]
    data: RetractedData


class Reviewed(_Attributes):
    """A moderator judged an image."""

    type: Annotated[Literal["image.reviewed.v1"], Field(description="What happened.")]
    data: ReviewedData


class _Decided(TypedDict):
    image_id: Annotated[str, Field(description="The image.")]
    revision: Annotated[int, Field(ge=1, description="1, 2, 3, … for one image; gaps are allowed.")]
    state: Annotated[
        str, Field(description="The image's state after the decision: `blocked` or `open`. Open for more.")
    ]
    decided_at: Annotated[Stamp, Field(description="Grows strictly per image; apply only a newer one.")]
    automated: Annotated[bool, Field(description="True where no person took the decision.")]
    trigger: Annotated[
        str,
        Field(
            description="What brought it about: `threshold`, `moderator`, `review_threshold`, "
            "`urgent_reason` or `breaker`. Open for more."
        ),
    ]
    policy: Annotated[str, Field(description="Short stable hash of the effective policy.")]


class BlockedData(_Decided):
    """The decision and the facts it relied on."""

    # These three are absent where a decision is published again: by then they are not kept.
    distinct_reporters: NotRequired[
        Annotated[int, Field(ge=0, description="How many counted; all reporters of one group count once.")]
    ]
    threshold: NotRequired[Annotated[int, Field(ge=1, description="How many block an image.")]]
    reasons: NotRequired[
        Annotated[dict[str, int], Field(description="Reporters by reason; sums to reporters, not to groups.")]
    ]
    first_reported_at: NotRequired[
        Annotated[Stamp, Field(description="The earliest report that counts; absent where none does.")]
    ]
    last_reported_at: NotRequired[
        Annotated[Stamp, Field(description="The latest report that counts; absent where none does.")]
    ]


class ReviewRequestedData(BlockedData):
    """Why a person should look, and the facts so far."""


class UnblockedData(_Decided):
    """The decision."""


class _Decision(TypedDict):
    specversion: Spec
    id: Annotated[
        str, Field(description="uuid5 of image id, decided_at, revision and type: one id, one content.")
    ]
    source: Sender
    subject: Annotated[str, Field(description="The image id.")]
    time: Annotated[Stamp, Field(description="The same as `decided_at`.")]
    datacontenttype: ContentType
    traceparent: NotRequired[
        Annotated[
            str,
            Field(description="W3C Trace Context of the event that brought it about, where that had one."),
        ]
    ]


class Blocked(_Decision):
    """An image is blocked from now on."""

    type: Annotated[Literal["image.blocked.v1"], Field(description="What happened.")]
    data: BlockedData


class Unblocked(_Decision):
    """An image is not blocked any more."""

    type: Annotated[Literal["image.unblocked.v1"], Field(description="What happened.")]
    data: UnblockedData


class ReviewRequested(_Decision):
    """A person should look at an image."""

    type: Annotated[Literal["image.review-requested.v1"], Field(description="What happened.")]
    data: ReviewRequestedData


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


class DeadLettered(TypedDict):
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
VERDICTS: TypeAdapter[Reviewed] = TypeAdapter(Reviewed)
REPORTED_TYPES = frozenset({REPORTED, RETRACTED})
REVIEWED_TYPES = frozenset({REVIEWED})
