"""`republish`: the current state, for a consumer that lost events."""

import json
from dataclasses import replace
from typing import Any, cast
from uuid import uuid5

import pytest
import redis
from jsonschema import Draft202012Validator

from image_moderation.contracts.schemas import json_schema
from image_moderation.domain.case import Case
from image_moderation.domain.decision import State, Trigger
from image_moderation.domain.policy import Policy
from image_moderation.events.models import BLOCKED, UNBLOCKED
from image_moderation.events.render import NAMESPACE, decision_message, stamp
from image_moderation.events.state import state_message
from tests.support.case_values import case_key, case_value
from tests.support.command_line import Call, Result
from tests.support.decided_cases import BY_PEOPLE, CLEARED, DAY, HOUR, NOW, OPEN
from tests.support.decisions import DECISION, UNBLOCKED_DECISION
from tests.support.service_process import ROOT

pytestmark = pytest.mark.usefixtures("cases")


def events(client: redis.Redis, channel: str) -> list[dict[str, Any]]:
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(channel))
    return [json.loads(fields[b"__data__"]) for _, fields in entries]


def test_republish_says_what_state_each_decided_image_is_in(cli: Call, client: redis.Redis) -> None:
    result = cli("republish", "--all")
    assert result == Result(0, "3 published (2 to image.blocked, 1 to image.unblocked)\n", "")
    found = {event["subject"]: event for event in events(client, "image.blocked")}
    assert set(found) == {"people", "moderator"}
    assert {
        name: found["people"]["data"][name] for name in ("revision", "decided_at", "automated", "trigger")
    } == {
        "revision": 1,
        "decided_at": stamp(NOW - HOUR),
        "automated": True,
        "trigger": "threshold",
    }
    assert found["moderator"]["data"]["automated"] is False
    [unblocked] = events(client, "image.unblocked")
    assert (unblocked["type"], unblocked["data"]["state"], unblocked["data"]["revision"]) == (
        UNBLOCKED,
        "open",
        2,
    )
    for event in (*found.values(), unblocked):
        Draft202012Validator(json_schema(event["type"])).validate(event)
    for image, case, event in (("people", BY_PEOPLE, found["people"]), ("cleared", CLEARED, unblocked)):
        decision = case.last_decision(image)
        assert decision is not None
        assert event["data"] == json.loads(decision_message(decision).body)["data"]
    assert found["people"]["data"]["reasons"] == {"nudity": 4, "spam": 1}
    assert found["moderator"]["data"] == {
        "image_id": "moderator",
        "revision": 3,
        "state": "blocked",
        "decided_at": stamp(NOW - DAY),
        "automated": False,
        "trigger": "moderator",
        "policy": Policy().hash,
    }, "an earlier version blocked it and kept no facts"
    again = cli("republish", "--json", "--since", "90m")
    assert json.loads(again.out) == {
        "published": 1,
        "channels": {"image.blocked": 1},
        "never_decided": [],
        "decided_earlier": [],
    }
    first, second = (event for event in events(client, "image.blocked") if event["subject"] == "people")
    assert first["id"] != second["id"]
    assert first["data"] == second["data"]


def test_a_dry_run_publishes_nothing(call: Call, redis_url: str, client: redis.Redis) -> None:
    urls = {"broker_url": "nats://127.0.0.1:1", "store_url": redis_url}
    result = call("republish", "--all", "--dry-run", **urls)
    assert result == Result(0, "3 would be published (2 to image.blocked, 1 to image.unblocked)\n", "")
    facts = call("republish", "people", "--dry-run", "--json", **urls).json
    assert (facts["would_publish"], facts["channels"]) == (1, {"image.blocked": 1})
    assert client.exists("image.blocked", "image.unblocked") == 0


def test_republish_of_named_images_names_what_was_never_decided(cli: Call, client: redis.Redis) -> None:
    result = cli("republish", "people", "open", "nobody", "people")
    assert (result.code, result.out) == (1, "1 published (1 to image.blocked)\n")
    assert [line.partition(":")[0] for line in result.err.splitlines()] == [
        "open",
        "nobody",
        "2 of 3 images were never decided",
    ]
    assert [event["subject"] for event in events(client, "image.blocked")] == ["people"]
    assert client.exists("image.unblocked") == 0


def test_republish_of_a_named_image_that_was_decided_earlier(cli: Call, client: redis.Redis) -> None:
    result = cli("republish", "--since", "2h", "moderator")
    assert (result.code, result.out) == (0, "0 published\n")
    assert result.err.startswith("moderator: it was decided before --since")
    assert client.exists("image.blocked") == 0


def test_republish_publishes_page_by_page(cli: Call, client: redis.Redis) -> None:
    with client.pipeline(transaction=False) as pipeline:
        for n in range(1_201):
            pipeline.set(case_key(f"img-{n}"), case_value(BY_PEOPLE), ex=60)
        pipeline.execute()
    assert cli("republish", "--since", "90m").out.startswith("1202 published")
    assert len({event["id"] for event in events(client, "image.blocked")}) == 1_202


def test_republish_says_how_far_it_got(cli: Call, client: redis.Redis) -> None:
    client.set("image.blocked", "no stream", ex=60)
    result = cli("republish", "people")
    assert (result.code, result.out) == (1, "")
    assert "the broker is not available" in result.err
    assert "0 events were published before" in result.err
    assert result.err.count("\n") == 1


def test_the_id_of_a_state_is_of_the_decision_and_the_time_of_publishing_it() -> None:
    message = state_message("img-42", BY_PEOPLE, "3f9a1c77", NOW)
    channel, body, event_id = message[:3]
    name = f"img-42\n{stamp(BY_PEOPLE.decided_at)}\n1\n{BLOCKED}\n{stamp(NOW)}"
    assert (channel, event_id) == ("image.blocked", str(uuid5(NAMESPACE, name)))
    assert json.loads(body)["id"] == event_id
    assert state_message("img-42", BY_PEOPLE, "3f9a1c77", NOW) == message
    with pytest.raises(ValueError, match="never decided"):
        state_message("img-42", OPEN, "3f9a1c77", NOW)


@pytest.mark.parametrize(
    ("example", "case"),
    [
        (
            "blocked-again",
            Case(state=State.BLOCKED, revision=1, trigger=Trigger.THRESHOLD, facts=DECISION.facts),
        ),
        (
            "unblocked-again",
            Case(revision=2, trigger=Trigger.MODERATOR, facts=UNBLOCKED_DECISION.facts),
        ),
    ],
)
def test_the_published_examples_of_a_state_are_what_is_sent(example: str, case: Case) -> None:
    file = ROOT / "contracts" / "examples" / "valid" / f"{example}.json"
    decided_at = 1_795_428_007_123 + 60_000 * (case.revision - 1)
    published_at = 1_795_428_007_123 + HOUR
    body = state_message("img-42", replace(case, decided_at=decided_at), "another", published_at).body
    assert file.read_bytes() == body
