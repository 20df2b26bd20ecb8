"""Renders an image's state again, for consumers that lost events."""

from uuid import uuid5

from pydantic_core import to_json

from image_moderation.domain.case import Case
from image_moderation.domain.decision import Action, State, Trigger
from image_moderation.domain.message import Outgoing
from image_moderation.events.models import DECISION_TYPES, SOURCE
from image_moderation.events.render import NAMESPACE, facts_data, stamp


def state_message(image_id: str, case: Case, policy_hash: str, published_at: int) -> Outgoing:
    """Return the event that states whether a decided image is blocked.

    Its data are those of the latest decision, so a consumer that knows it or a later one ignores the event.
    An image whose latest decision asked for a review is open, so its event is `image.unblocked`. The id
    depends on the decision and on `published_at` (milliseconds): a repetition with the same time gives the
    same id and bytes. It isn't the decision's own id, because brokers drop a repeated one.

    A case that was stored before facts were has none: its event lacks them, and has `policy_hash`.

    Raises:
        ValueError: the image was never decided.
    """
    if not case.revision:
        raise ValueError("the image was never decided")
    event_type = DECISION_TYPES[Action.BLOCK if case.state is State.BLOCKED else Action.UNBLOCK]
    decided_at = stamp(case.decided_at)
    name = f"{image_id}\n{decided_at}\n{case.revision}\n{event_type.name}\n{stamp(published_at)}"
    event_id = str(uuid5(NAMESPACE, name))
    trigger, facts = case.trigger or Trigger.THRESHOLD, case.facts
    body = to_json(
        {
            "specversion": "1.0",
            "id": event_id,
            "source": SOURCE,
            "type": event_type.name,
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
                **(facts_data(facts) if facts and case.state is State.BLOCKED else {}),
                "policy": facts.policy if facts else policy_hash,
            },
        }
    )
    return Outgoing(event_type.channel, body, event_id, image_id)
