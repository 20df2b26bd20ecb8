"""`blocked`: what is blocked."""

from datetime import UTC, datetime, timedelta
from uuid import uuid5

import pytest
import redis

from image_moderation.events.render import NAMESPACE, stamp
from tests.support.case_values import case_key
from tests.support.command_line import Call, Result
from tests.support.decided_cases import DAY, HOUR, NOW

pytestmark = pytest.mark.usefixtures("cases")


def ago(milliseconds: int) -> str:
    return (datetime.now(UTC) - timedelta(milliseconds=milliseconds)).isoformat()


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
    assert [line["image_id"] for line in result.lines] == ["people"]
    assert cli("blocked", "--since", "1s") == Result(0, "", "nothing was blocked since then\n")


def test_blocked_says_what_each_block_relied_on(cli: Call) -> None:
    lines = cli("blocked", "--json").lines
    people, moderator = sorted(lines, key=lambda line: line["image_id"] == "moderator")
    assert people == {
        "image_id": "people",
        "event_id": str(uuid5(NAMESPACE, f"people\n{stamp(NOW - HOUR)}\n1\nimage.blocked.v1")),
        "action": "block",
        "revision": 1,
        "decided_at": stamp(NOW - HOUR),
        "trigger": "threshold",
        "automated": True,
        "distinct_reporters": 5,
        "threshold": 5,
        "reasons": {"nudity": 4, "spam": 1},
        "first_reported_at": stamp(NOW - DAY),
        "last_reported_at": stamp(NOW - HOUR - 1),
        "policy": "3f9a1c77",
    }
    unknown = {name for name, value in moderator.items() if value is None}
    assert unknown == {
        "event_id",
        "distinct_reporters",
        "threshold",
        "reasons",
        "first_reported_at",
        "last_reported_at",
        "policy",
    }, "an earlier version blocked it"


def test_blocked_names_how_much_it_could_not_read(cli: Call, client: redis.Redis) -> None:
    client.set(case_key("people"), b"\x01", ex=60)
    result = cli("blocked", "--json")
    assert result.code == 0
    assert len(result.out.splitlines()) == 1
    assert result.err.startswith("keys left out")


def test_blocked_with_a_limit_lists_what_was_decided_last(cli: Call) -> None:
    limited = cli("blocked", "--limit", "1")
    assert limited.out == f"image\trevision\tdecided at\ttrigger\npeople\t1\t{stamp(NOW - HOUR)}\tthreshold\n"
    assert limited.err == "1 of 2 are shown, those that were decided last\n"
    [newest] = cli("blocked", "--limit", "1", "--json").lines
    assert (newest["image_id"], newest["reasons"]) == ("people", {"nudity": 4, "spam": 1})
    both = cli("blocked", "--limit", "9", "--json").lines
    assert [one["image_id"] for one in both] == ["moderator", "people"]
    assert cli("blocked", "--limit", "2").err == ""
