"""`inspect`: why an image is or is not blocked."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, cast

import pytest
import redis

from image_moderation.domain.decision import OutboxEntry
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Report
from image_moderation.events.render import stamp
from image_moderation.redis_connection import connect
from image_moderation.settings import Settings
from image_moderation.store.redis_outbox import RedisOutbox
from image_moderation.store.redis_store import Lifetimes, RedisStore
from image_moderation.wiring import clock, policy
from tests.support.command_line import Call
from tests.support.decided_cases import DAY, NOW


async def apply(url: str, *reports: Report, threshold: str = "3", publish: bool = False) -> None:
    """Puts reports into the store, as a service would, which publishes what they decide if told to."""
    settings = Settings.load({"MODERATION_BROKER_URL": url, "MODERATION_BLOCK_THRESHOLD": threshold})
    redis_client = connect(url)
    try:
        store = RedisStore(
            redis_client,
            prefix="moderation",
            policy=policy(settings),
            lifetimes=Lifetimes(decided=86_400_000),
            reporter_key=None,
            clock=clock,
        )
        await store.open()
        entries: Sequence[OutboxEntry] = (await store.apply(reports)).entries
        if publish:
            await RedisOutbox(redis_client, prefix="moderation", clock=clock).settle(entries)
    finally:
        await redis_client.aclose()


def report_by(reporter: str, image: str = "img-42", **fields: Any) -> Report:
    now = clock()
    return Report(**{"image_id": image, "reporter_id": reporter, "time": now, "arrived": now, **fields})


def test_inspect_of_an_image_that_nobody_reported(cli: Call) -> None:
    result = cli("inspect", "img-42")
    assert result.code == 0
    assert result.out.startswith("img-42 is not blocked: no report of it is known")
    assert cli("inspect", "img-42", "--json").json["known"] is False


def test_inspect_says_what_is_lacking_and_names_nobody(cli: Call, redis_url: str) -> None:
    reports = [
        report_by("user-1", reason="nudity", group="device-9"),
        report_by("user-2", reason="spam", group="device-9"),
        report_by("user-3", reason="spam"),
        report_by("user-4", retracted=True),
    ]
    asyncio.run(apply(redis_url, *reports))
    result = cli("inspect", "img-42", block_threshold="3")
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0].startswith("img-42 is not blocked: 2 of 3 distinct reporters, 1 more until ")
    assert "3 people reported it; those of one group count once." in lines
    assert "Reasons: spam 2, nudity 1." in lines
    assert "Retracted by their reporters: 1." in lines
    assert lines[-4] == "reporter\treported at\treason\tgroup"
    assert all(len(line.split("\t")[0]) == 8 for line in lines[-3:])
    assert "user-" not in result.out
    assert "device-9" not in result.out
    facts = cli("inspect", "img-42", "--json", block_threshold="3").json
    assert (facts["state"], facts["distinct_reporters"], facts["threshold"]) == ("open", 2, 3)
    assert [len(one["reporter"]) for one in facts["reporters"]] == [8, 8, 8]
    assert facts["retractions"] == 1


def test_inspect_says_what_has_slid_out_of_the_window(cli: Call, redis_url: str) -> None:
    ages = {"user-1": 31, "user-2": 31, "user-3": 2}
    reports = [report_by(who, time=clock() - days * DAY) for who, days in ages.items()]
    asyncio.run(apply(redis_url, *reports, threshold="4"))
    out = cli("inspect", "img-42").out
    assert "3 of 5 distinct reporters within one window." in out
    assert "Together with a report that is made now, 1 of them count." in out


def test_inspect_says_whether_the_decision_has_been_published(cli: Call, redis_url: str) -> None:
    for image, publish in (("img-1", False), ("img-2", True)):
        reports = [report_by(f"user-{n}", image) for n in range(3)]
        asyncio.run(apply(redis_url, *reports, publish=publish))
    waiting = cli("inspect", "img-1").out
    assert waiting.startswith("img-1 has been blocked since ")
    assert "revision 1, blocked at" in waiting
    assert "waits in the outbox to be published" in waiting
    assert "3 of 3 distinct reporters (unspecified 3)" in waiting
    assert "has been published" in cli("inspect", "img-2").out
    facts = cli("inspect", "img-1", "--json").json
    assert [one["id"] for one in facts["waiting_in_outbox"]] == [facts["last_decision"]["event_id"]]
    assert (facts["blocked"], facts["revision"], facts["distinct_reporters"]) == (True, 1, None)
    assert cli("inspect", "img-2", "--json").json["waiting_in_outbox"] == []


def test_inspect_says_why_an_image_is_blocked(cli: Call, redis_url: str) -> None:
    times = [clock() - age for age in (5_000, 4_000, 3_000)]
    reasons = ("spam", "nudity", "nudity")
    reports = [
        report_by(f"user-{n}", time=time, reason=reason)
        for n, (time, reason) in enumerate(zip(times, reasons, strict=True))
    ]
    asyncio.run(apply(redis_url, *reports, publish=True))
    asyncio.run(apply(redis_url, report_by("user-0", retracted=True)))
    rule = Policy(block_threshold=3).hash
    decision = cli("inspect", "img-42", "--json").json["last_decision"]
    assert decision | {"decided_at": "", "event_id": ""} == {
        "event_id": "",
        "action": "block",
        "revision": 1,
        "decided_at": "",
        "trigger": "threshold",
        "automated": True,
        "distinct_reporters": 3,
        "threshold": 3,
        "reasons": {"nudity": 2, "spam": 1},
        "first_reported_at": stamp(times[0]),
        "last_reported_at": stamp(times[2]),
        "policy": rule,
    }
    lines = cli("inspect", "img-42", block_threshold="3").out.splitlines()
    assert lines[-3:] == [
        "Counted then: 3 of 3 distinct reporters (nudity 2, spam 1).",
        f"These reports range from {stamp(times[0])} to {stamp(times[2])}.",
        f"Its event is {decision['event_id']}, its policy {rule}.",
    ]
    elsewhere = cli("inspect", "img-42", block_threshold="4").out
    assert f"its policy {rule}; this environment's policy is {Policy(block_threshold=4).hash}." in elsewhere
    assert cli("forget", "img-42", "--yes").code == 0
    assert cli("inspect", "img-42", "--json").json["last_decision"] is None


def test_inspect_changes_nothing(cli: Call, client: redis.Redis) -> None:
    cli("inspect", "img-42")
    assert client.dbsize() == 0


def test_inspect_of_a_key_that_holds_no_case(cli: Call, redis_url: str, client: redis.Redis) -> None:
    asyncio.run(apply(redis_url, report_by("user-1")))
    [key] = cast("list[bytes]", client.keys("*:case:*"))
    client.set(key, b"\x01", ex=60)
    result = cli("inspect", "img-42")
    assert (result.code, result.out) == (1, "")
    assert "holds no case" in result.err


@pytest.mark.usefixtures("cases")
def test_inspect_of_what_moderators_judged(cli: Call) -> None:
    blocked = cli("inspect", "moderator").out
    assert blocked.startswith(f"moderator has been blocked since {stamp(NOW - DAY)}: a moderator upheld it.")
    assert "Newest verdict: upheld by a moderator" in blocked
    assert "Last decision: revision 3, blocked at" in blocked
    assert "by moderator; it has been published." in blocked
    assert "Its counts are not stored: an earlier version took it." in blocked
    cleared = cli("inspect", "cleared").out
    until = stamp(NOW + DAY)
    assert cleared.startswith(
        f"cleared is not blocked: a moderator cleared it, and until {until} no report counts."
    )
    assert "revision 2, unblocked at" in cleared
    assert ", its policy 3f9a1c77; this environment's policy is" in cleared
    assert "Counted then" not in cleared
    facts = json.loads(cli("inspect", "cleared", "--json").out)
    assert (facts["verdict"], facts["immune_until"], facts["decision"]) == ("cleared", until, "unblock")
    assert (facts["trigger"], facts["published"]) == ("moderator", True)
