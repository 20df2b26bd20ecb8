"""`forget`: a case is removed."""

import json

import pytest
import redis

from image_moderation.domain.clock import MOST_CLOCK_SKEW
from tests.support.case_values import case_key
from tests.support.command_line import Call, Result
from tests.support.decided_cases import HOUR, NOW

pytestmark = pytest.mark.usefixtures("cases")


def test_forget_says_what_it_removed(cli: Call, client: redis.Redis) -> None:
    result = cli("forget", "people", "--yes")
    assert (result.code, result.out) == (0, "people: forgotten, which was blocked, revision 1\n")
    assert "unblocks nothing" in result.err
    assert 0 < client.pttl(case_key("people")) <= 2 * MOST_CLOCK_SKEW
    assert cli("inspect", "people").out.startswith("people is not blocked: no report of it is known")
    assert cli("forget", "people", "--yes") == Result(1, "", "people: nothing is known about it\n")
    facts = json.loads(cli("forget", "cleared", "--yes", "--json").out)
    assert facts == {
        "image_id": "cleared",
        "forgotten": True,
        "state": "open",
        "reporters": 0,
        "waiting_in_outbox": 0,
    }
    missing = cli("forget", "cleared", "--yes", "--json")
    assert (missing.code, json.loads(missing.out)["forgotten"]) == (1, False)
    assert client.exists(case_key("open")) == 1


def test_forget_removes_what_it_can_not_read_as_well(cli: Call, client: redis.Redis) -> None:
    client.set(case_key("people"), b"\x01", ex=60)
    assert cli("forget", "people", "--yes").code == 0
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
    result = cli("forget", "people", "--yes")
    assert result.code == 0
    note = " ".join(result.err.split())
    assert "not published yet: 1; they stay in the outbox and will be published." in note
    assert client.zcard(outbox) == 1
