"""The types of event, CloudEvents 1.0 as JSON in structured mode, and the one table of them.

They are TypedDicts, because one is checked for every message, and the JSON reader returns dictionaries.
Unknown fields are ignored on input; on output fields are only ever added.
"""

from typing import Annotated, Any, Literal, NamedTuple, NotRequired

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from image_moderation.domain.decision import Action
from image_moderation.events.fields import (
    ContentType,
    EventId,
    Group,
    ImageId,
    ModeratorId,
    Reason,
    ReporterId,
    Sender,
    Source,
    Spec,
    Stamp,
    Time,
    Trace,
)

REPORTED_CHANNEL = "image.reported"
REVIEWED_CHANNEL = "image.reviewed"
BLOCKED_CHANNEL = "image.blocked"
UNBLOCKED_CHANNEL = "image.unblocked"
REVIEW_CHANNEL = "image.review-requested"
DEAD_LETTER_CHANNEL = "image.dead-letter"

REPORTED = "image.reported.v1"
RETRACTED = "image.report-retracted.v1"
REVIEWED = "image.reviewed.v1"
BLOCKED = "image.blocked.v1"
UNBLOCKED = "image.unblocked.v1"
REVIEW_REQUESTED = "image.review-requested.v1"
DEAD_LETTER = "image.dead-letter.v1"

SOURCE = "/image-moderation"


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

    # Absent from a block that is published again if an earlier version took it, which stored none of them.
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
    truncated: Annotated[
        bool, Field(description="True where `body` is the beginning only, or headers are left out.")
    ]
    body: Annotated[str, Field(description="The original bytes, base64, at most 256 KiB of them.")]
    headers: Annotated[
        dict[str, str], Field(description="The message's other fields or headers, at most 64 KiB of them.")
    ]


class DeadLettered(TypedDict):
    """A message that could not be understood is parked."""

    specversion: Spec
    id: Annotated[str, Field(description="uuid5 of channel and position: a repeat is recognised.")]
    source: Sender
    type: Annotated[Literal["image.dead-letter.v1"], Field(description="What happened.")]
    time: Annotated[Stamp, Field(description="When it was parked.")]
    datacontenttype: ContentType
    data: DeadLetterData


class EventType(NamedTuple):
    """One type of event."""

    name: str
    """Its attribute `type`."""
    channel: str
    model: Any
    """The TypedDict of its fields."""
    action: Action | None = None
    """The decision that it publishes."""


EVENT_TYPES = (
    EventType(REPORTED, REPORTED_CHANNEL, Reported),
    EventType(RETRACTED, REPORTED_CHANNEL, Retracted),
    EventType(REVIEWED, REVIEWED_CHANNEL, Reviewed),
    EventType(BLOCKED, BLOCKED_CHANNEL, Blocked, Action.BLOCK),
    EventType(UNBLOCKED, UNBLOCKED_CHANNEL, Unblocked, Action.UNBLOCK),
    EventType(REVIEW_REQUESTED, REVIEW_CHANNEL, ReviewRequested, Action.REQUEST_REVIEW),
    EventType(DEAD_LETTER, DEAD_LETTER_CHANNEL, DeadLettered),
)
"""Every type of event, in the order of the contract's documents."""

CHANNELS = tuple(dict.fromkeys(row.channel for row in EVENT_TYPES))
DECISION_CHANNELS = tuple(row.channel for row in EVENT_TYPES if row.action)
DECISION_TYPES = {row.action: row for row in EVENT_TYPES if row.action}


def types_on(channel: str) -> tuple[EventType, ...]:
    """Return the types of event that a channel carries."""
    return tuple(row for row in EVENT_TYPES if row.channel == channel)


REPORTS: TypeAdapter[Reported | Retracted] = TypeAdapter(
    Annotated[Reported | Retracted, Field(discriminator="type")]
)
"""Checks the events of `image.reported`."""
REVIEWS: TypeAdapter[Reviewed] = TypeAdapter(Reviewed)
"""Checks the events of `image.reviewed`."""
