"""An image's state, published again for a consumer that lost events."""

from uuid import uuid5

from pydantic_core import to_json

from image_moderation.domain.case import Case
from image_moderation.domain.decision import State, Trigger
from image_moderation.domain.message import Outgoing
from image_moderation.events.models import BLOCKED, BLOCKED_CHANNEL, SOURCE, UNBLOCKED, UNBLOCKED_CHANNEL
from image_moderation.events.render import NAMESPACE, stamp


def state_message(image_id: str, case: Case, policy_hash: str, published_at: int) -> Outgoing:
    """Return the event that says what state a decided image is in.

    It has the `revision`, `decided_at` and `trigger` of the latest decision, so a consumer that knows it or a
    later one ignores the event. What is no longer kept is left out. An image whose latest decision asked for
    a review is open, so that event is an `unblocked` one. The id is of the decision and of `published_at`
    (milliseconds): repeating with the same time gives the same id and bytes.
    """
    if not case.revision:
        raise ValueError("the image was never decided")
    blocked = case.state is State.BLOCKED
    channel, event_type = (BLOCKED_CHANNEL, BLOCKED) if blocked else (UNBLOCKED_CHANNEL, UNBLOCKED)
    decided_at = stamp(case.decided_at)
    name = f"{image_id}\n{decided_at}\n{case.revision}\n{event_type}\n{stamp(published_at)}"
    event_id = str(uuid5(NAMESPACE, name))
    trigger = case.trigger or Trigger.THRESHOLD
    body = to_json(
        {
            "specversion": "1.0",
            "id": event_id,
            "source": SOURCE,
            "type": event_type,
            "subject": image_id,
            "time": decided_at,
            "datacontenttype": "application/json",
            "data": {
                "image_id": image_id,
                "revision": case.revision,
                "state": case.state,
                "decided_at": decided_at,
                "automated": trigger is not Trigger.MODERATOR,
                "trigger": trigger,
                "policy": policy_hash,
            },
        }
    )
    return Outgoing(channel, body, event_id, image_id)
