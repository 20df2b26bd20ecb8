"""The commands about the state of images: what they print, publish and remove."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid5

import pytest
import redis
from jsonschema import Draft202012Validator

from image_moderation.cli.explanation import explain
from image_moderation.contracts.schemas import json_schema
from image_moderation.domain.case import Case, Record
from image_moderation.domain.decision import State, Trigger
from image_moderation.domain.policy import Policy
from image_moderation.events.models import BLOCKED, UNBLOCKED
from image_moderation.events.render import NAMESPACE, stamp
from image_moderation.events.state import state_message
from image_moderation.wiring import clock
from tests.support.case_values import case_key, case_value
from tests.support.command_line import Call, Result

CLOSED = "redis://127.0.0.1:1"
HOUR, DAY = 3_600_000, 86_400_000
NOW = clock()
BY_PEOPLE = Case(state=State.BLOCKED, floor=1, revision=1, decided_at=NOW - HOUR, trigger=Trigger.THRESHOLD)
BY_MODERATOR = Case(
    state=State.BLOCKED,
    revision=3,
    decided_at=NOW - DAY,
    trigger=Trigger.MODERATOR,
    verdict="upheld",
    verdict_time=NOW - DAY,
)
CLEARED = Case(
    floor=NOW + DAY,
    revision=2,
    decided_at=NOW - 2 * HOUR,
    trigger=Trigger.MODERATOR,
    verdict="cleared",
    verdict_time=NOW - 2 * HOUR,
)
OPEN = Case(first=NOW - HOUR, last=NOW - HOUR, score=2)
ALL = {"people": BY_PEOPLE, "moderator": BY_MODERATOR, "cleared": CLEARED, "open": OPEN}


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """A server with a case of each kind."""
    with redis.Redis.from_url(redis_url) as connected:
        for image, case in ALL.items():
            connected.set(case_key(image), case_value(case), ex=60)
        yield connected


@pytest.fixture
def cli(call: Call, redis_url: str, client: redis.Redis) -> Call:
    def run_with(*arguments: str, **variables: str) -> Result:
        return call(*arguments, **{"broker_url": redis_url, **variables})

    return run_with


def events(client: redis.Redis, channel: str) -> list[dict[str, Any]]:
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(channel))
    return [json.loads(fields[b"__data__"]) for _, fields in entries]


def ago(milliseconds: int) -> str:
    return (datetime.now(UTC) - timedelta(milliseconds=milliseconds)).isoformat()


@pytest.mark.parametrize("command", ["blocked", "republish", "forget"])
def test_every_command_explains_itself_with_an_example(call: Call, command: str) -> None:
    result = call(command, "--help")
    assert result.code == 0
    assert f"Example: image-moderation {command}" in result.out


@pytest.mark.parametrize(
    "arguments", [("blocked",), ("republish",), ("republish", "a"), ("forget", "--image", "a")]
)
def test_a_server_that_is_away_is_one_line_and_exits_1(call: Call, arguments: tuple[str, ...]) -> None:
    result = call(*arguments, broker_url=CLOSED)
    assert (result.code, result.out) == (1, "")
    assert "the store is not available" in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("blocked", "--since", "yesterday"), "--since: got 'yesterday'; takes a time"),
        (("republish", "--since", "5"), "--since"),
        (("blocked", "--since", "2026-13-01"), "--since"),
        (("republish", "img-\udcff"), "not UTF-8"),
        (("forget",), "--image"),
    ],
)
def test_a_wrong_call_is_one_line_and_exits_2(call: Call, arguments: tuple[str, ...], says: str) -> None:
    result = call(*arguments, broker_url=CLOSED)
    assert (result.code, result.out) == (2, "")
    assert says in result.err
    assert result.err.count("\n") == 1


# blocked -----------------------------------------------------------------------------------------


def test_blocked_lists_what_is_blocked_oldest_first(cli: Call) -> None:
    assert cli("blocked") == Result(
        0,
        "image\trevision\tdecided at\ttrigger\n"
        f"moderator\t3\t{stamp(NOW - DAY)}\tmoderator\n"
        f"people\t1\t{stamp(NOW - HOUR)}\tthreshold\n",
        "",
    )


@pytest.mark.parametrize(
    "since",
    ["2h", "PT2H", ago(2 * HOUR), ago(2 * HOUR).partition("+")[0]],
    ids=["short", "iso", "time", "time without a zone"],
)
def test_blocked_since(cli: Call, since: str) -> None:
    result = cli("blocked", "--since", since, "--json")
    assert [json.loads(line) for line in result.out.splitlines()] == [
        {"image_id": "people", "revision": 1, "decided_at": stamp(NOW - HOUR), "trigger": "threshold"}
    ]
    assert cli("blocked", "--since", "1s") == Result(0, "", "nothing was blocked since then\n")


def test_blocked_names_how_much_it_could_not_read(cli: Call, client: redis.Redis) -> None:
    client.set(case_key("people"), b"\x01", ex=60)
    result = cli("blocked", "--json")
    assert result.code == 0
    assert len(result.out.splitlines()) == 1
    assert result.err.startswith("keys left out")


# republish ---------------------------------------------------------------------------------------


def test_republish_says_what_state_each_decided_image_is_in(cli: Call, client: redis.Redis) -> None:
    result = cli("republish")
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
        assert "distinct_reporters" not in event["data"]
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


def test_the_id_of_a_state_is_of_the_decision_and_the_time_of_publishing_it() -> None:
    message = state_message("img-42", BY_PEOPLE, "3f9a1c77", NOW)
    channel, body, event_id = message[:3]
    name = f"img-42\n{stamp(BY_PEOPLE.decided_at)}\n1\n{BLOCKED}\n{stamp(NOW)}"
    assert (channel, event_id) == ("image.blocked", str(uuid5(NAMESPACE, name)))
    assert json.loads(body)["id"] == event_id
    assert state_message("img-42", BY_PEOPLE, "3f9a1c77", NOW) == message
    with pytest.raises(ValueError, match="never decided"):
        state_message("img-42", OPEN, "3f9a1c77", NOW)


def test_republish_says_how_far_it_got(cli: Call, client: redis.Redis) -> None:
    client.set("image.blocked", "no stream", ex=60)
    result = cli("republish", "people")
    assert (result.code, result.out) == (1, "")
    assert "the broker is not available" in result.err
    assert "0 events were published before" in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("example", "case"),
    [
        ("blocked-again", Case(state=State.BLOCKED, revision=1, trigger=Trigger.THRESHOLD)),
        ("unblocked-again", Case(revision=2, trigger=Trigger.MODERATOR)),
    ],
)
def test_the_published_examples_of_a_state_are_what_is_sent(example: str, case: Case) -> None:
    file = Path(__file__).parents[2] / "contracts" / "examples" / "valid" / f"{example}.json"
    decided_at = 1_795_428_007_123 + 60_000 * (case.revision - 1)
    published_at = 1_795_428_007_123 + HOUR
    body = state_message("img-42", replace(case, decided_at=decided_at), "3f9a1c77", published_at).body
    assert file.read_bytes() == body


# forget ------------------------------------------------------------------------------------------


def test_forget_says_what_it_removed(cli: Call, client: redis.Redis) -> None:
    result = cli("forget", "--image", "people")
    assert (result.code, result.out) == (0, "people: forgotten, which was blocked, revision 1\n")
    assert "unblocks nothing" in result.err
    assert client.exists(case_key("people")) == 0
    assert cli("forget", "--image", "people") == Result(1, "", "people: nothing is known about it\n")
    facts = json.loads(cli("forget", "--image", "cleared", "--json").out)
    assert facts == {
        "image_id": "cleared",
        "forgotten": True,
        "state": "open",
        "reporters": 0,
        "waiting_in_outbox": 0,
    }
    missing = cli("forget", "--image", "cleared", "--json")
    assert (missing.code, json.loads(missing.out)["forgotten"]) == (1, False)
    assert client.exists(case_key("open")) == 1


def test_forget_removes_what_it_can_not_read_as_well(cli: Call, client: redis.Redis) -> None:
    client.set(case_key("people"), b"\x01", ex=60)
    assert cli("forget", "--image", "people").code == 0
    assert client.exists(case_key("people")) == 0


def test_forget_leaves_what_is_still_to_be_published(cli: Call, client: redis.Redis) -> None:
    decision = {
        "image_id": "people",
        "action": "block",
        "revision": 1,
        "decided_at": NOW - HOUR,
        "state": "blocked",
        "trigger": "threshold",
        "automated": True,
        "distinct_reporters": 5,
        "threshold": 5,
        "reasons": {"spam": 5},
        "first_reported_at": NOW - HOUR,
        "last_reported_at": NOW - HOUR,
        "policy": "3f9a1c77",
    }
    outbox = case_key("people").partition(b":case:")[0] + b":outbox"
    client.zadd(outbox, {json.dumps(decision): NOW})
    assert "waits in the outbox to be published" in cli("inspect", "people").out
    result = cli("forget", "--image", "people")
    assert result.code == 0
    assert "not published yet: 1; they stay in the outbox, and will be." in " ".join(result.err.split())
    assert client.zcard(outbox) == 1


# inspect -----------------------------------------------------------------------------------------


def test_inspect_of_what_moderators_judged(cli: Call) -> None:
    blocked = cli("inspect", "moderator").out
    assert blocked.startswith(f"moderator is blocked since {stamp(NOW - DAY)}: a moderator upheld it.")
    assert "Newest verdict: upheld by a moderator" in blocked
    assert "Last decision: revision 3, blocked at" in blocked
    assert "by moderator; it has been published." in blocked
    cleared = cli("inspect", "cleared").out
    until = stamp(NOW + DAY)
    assert cleared.startswith(
        f"cleared is not blocked: a moderator cleared it, and until {until} no report counts."
    )
    assert "revision 2, unblocked at" in cleared
    facts = json.loads(cli("inspect", "cleared", "--json").out)
    assert (facts["verdict"], facts["immune_until"], facts["decision"]) == ("cleared", until, "unblock")
    assert (facts["trigger"], facts["published"]) == ("moderator", True)


def words_about(case: Case, policy: Policy) -> str:
    return "\n".join(explain("img-42", case, (), policy, NOW))


RECORDS = {f"{n:016x}": Record(NOW - HOUR, "spam", None) for n in range(3)}
ASKED = Case(
    first=NOW - HOUR,
    last=NOW - HOUR,
    score=3,
    revision=1,
    decided_at=NOW - HOUR,
    trigger=Trigger.REVIEW_THRESHOLD,
    asked_at=NOW - HOUR,
    records=RECORDS,
)


@pytest.mark.parametrize(
    ("case", "policy", "says"),
    [
        (
            ASKED,
            Policy(block_threshold=3, review_grace=2 * HOUR),
            (
                "img-42 is not blocked yet, though it has 3 of 3 distinct reporters: the block waits for a "
                f"moderator until {stamp(NOW + HOUR)}."
            ),
        ),
        (ASKED, Policy(block_threshold=3, review_grace=1000), "and is due."),
        (ASKED, Policy(block_threshold=3, review_grace=1000, max_blocks_per_hour=9), "The breaker lets 9 "),
        (ASKED, Policy(block_threshold=5), f"A review was asked for at {stamp(NOW - HOUR)}"),
        (ASKED, Policy(block_threshold=5), "review asked for at"),
        (
            replace(ASKED, trigger=Trigger.BREAKER),
            Policy(block_threshold=3, max_blocks_per_hour=9),
            "the breaker held this one back",
        ),
        (ASKED, Policy(block_threshold=3), "the threshold applies from its next change"),
        (
            replace(ASKED, shadow_blocked=True, shadow_asked_at=NOW),
            Policy(block_threshold=3, shadow=True),
            "shadow mode blocks nothing",
        ),
        (replace(OPEN, shadow_blocked=True), Policy(), "Shadow mode would have blocked it in this round."),
        (OPEN, Policy(review_threshold=3), "A review is asked for at 3 distinct reporters."),
        (OPEN, Policy(urgent_reasons=frozenset({"csam"})), "at the first report that says csam."),
        (OPEN, Policy(shadow=True), "were this not shadow mode"),
    ],
    ids=lambda value: value[:20].rstrip("0123456789") if isinstance(value, str) else None,
)
def test_an_explanation_says_why_it_waits(case: Case, policy: Policy, says: str) -> None:
    assert says in words_about(case, policy)
