"""The Lua held to the pure policy: random histories give both the same outcomes, decisions and cases.

More histories than by default: HISTORIES=20000 pytest tests/integration/test_lua_against_policy.py
"""

import asyncio
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from image_moderation.domain.case import Case
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Report, Review, Verdict
from image_moderation.redis_connection import connect
from image_moderation.store import lua, packing
from image_moderation.store.arguments import ApplyArguments
from image_moderation.store.digests import Digests
from image_moderation.store.keys import partition_of
from tests.support.batches import IMAGES, LONG, Batch, histories, unblocked_cases
from tests.support.both import KEY, Both
from tests.support.histories import BASE, report, retraction

HISTORIES = int(os.environ.get("HISTORIES", "200"))


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(params=[packing.WORK_AT_MOST, 15_000], ids=["one call", "several calls"])
def work_at_most(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How much a call does before it leaves its other events to another."""
    constants = lua.CONSTANTS | {"WORK_AT_MOST": request.param}
    script = lua.Script("apply", ApplyArguments, parts=lua.PARTS, constants=constants)
    monkeypatch.setattr(lua, "APPLY", script)
    monkeypatch.setattr(lua, "ALL", (script, *lua.ALL[1:]))


@pytest.mark.usefixtures("work_at_most")
def test_random_histories_end_the_same(any_redis_url: str, runner: asyncio.Runner) -> None:
    assert partition_of(IMAGES[0].encode()) == partition_of(IMAGES[1].encode())
    client = connect(any_redis_url)
    both = Both(client)

    @settings(
        max_examples=HISTORIES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(histories(), unblocked_cases)
    def same(batches: list[Batch], unblocked: dict[str, Case]) -> None:
        runner.run(both.check(batches, unblocked))

    try:
        same()
    finally:
        runner.run(client.aclose())


def batch(threshold: int, window: int, *reports: Report) -> Batch:
    return Batch(Policy(block_threshold=threshold, report_window=window), BASE, list(reports), retried=False)


ONE = IMAGES[0]
CORNERS = {
    "a window that was shortened": [
        batch(9, 30, report("a", 0, image=ONE, reason="spam"), report("b", 20, image=ONE, reason="nudity")),
        batch(9, 5, report("c", 3, image=ONE), report("c", 8, image=ONE), report("a", -1, image=ONE)),
        batch(9, 5, report("c", 20, image=ONE), report("c", 21, image=ONE)),
        batch(2, 5, report("b", 22, image=ONE, reason="spam")),
    ],
    "full to the last record": [
        batch(1, 9, *(retraction(f"user-{n}", 1, image=ONE) for n in range(71))),
        batch(1, 9, retraction("user-71", 1, image=ONE)),
        batch(1, 9, retraction("user-71", 2, image=ONE)),
        batch(1, 9, retraction("user-72", 1, image=ONE)),
    ],
    "a table of reasons full to the last byte": [
        batch(9, 9, *(report(f"user-{n}", 1, image=ONE, reason=reason) for n, reason in enumerate(LONG))),
        batch(9, 9, report("user-8", 1, image=ONE, reason="a")),
        batch(6, 9, report("user-9", 1, image=ONE, reason=LONG[3])),
    ],
    "a first group for a reporter who had none": [
        batch(9, 9, report("a", 1, image=ONE), report("b", 2, image=ONE), retraction("c", 3, image=ONE)),
        batch(9, 9, report("b", 3, image=ONE, group="g"), report("c", 4, image=ONE, group="g")),
        batch(9, 9, report("d", 4, image=ONE), report("b", 4, image=ONE)),
    ],
    "one report more, and what only looks like it": [
        batch(9, 9, report("a", 1, image=ONE), report("b", 3, image=ONE, reason="spam")),
        batch(9, 9, retraction("c", 6, image=ONE), report("d", 5, image=ONE), report("d", 5, image=ONE)),
        batch(9, 9, report("e", 13, image=ONE), report("f", 12, image=ONE), report("g", 13, image=ONE)),
        batch(9, 2, report("h", 13, image=ONE)),
        batch(9, 2, report("i", 16, image=ONE), report("j", 18, image=ONE), report("k", 19, image=ONE)),
        batch(3, 9, report("l", 20, image=ONE), report("m", 20, image=ONE)),
    ],
    "a retraction that comes first, around the border of the window": [
        batch(9, 9, retraction("a", 50, image=ONE), report("a", 40, image=ONE), report("a", 45, image=ONE)),
        batch(9, 9, report("a", 50, image=ONE), report("b", 41, image=ONE), report("a", 39, image=ONE)),
    ],
}


@pytest.mark.parametrize("corner", CORNERS)
def test_corners_end_the_same(any_redis_url: str, runner: asyncio.Runner, corner: str) -> None:
    client = connect(any_redis_url)
    try:
        runner.run(Both(client).check(CORNERS[corner], {}))
    finally:
        runner.run(client.aclose())


class Lookalikes(Digests):
    """Digests that also occur across the border of two records, which chance gives once in an age."""

    def reporter(self, reporter_id: str) -> bytes:
        return {"first": b"AAAAAAAA", "second": b"BBBBBBBC"}.get(reporter_id, b"\0BBBBBBB")


@pytest.mark.parametrize("group", [None, "g"])
def test_a_digest_is_found_at_the_start_of_a_record_alone(
    any_redis_url: str, runner: asyncio.Runner, group: str | None
) -> None:
    client = connect(any_redis_url)
    both = Both(client)
    both.digests = Lookalikes(KEY)
    # The first record ends in a zero: the code of no reason, or the end of no group.
    history = batch(
        9,
        9,
        report("first", 1, image=ONE),
        report("second", 2, image=ONE, group=group),
        report("alike", 3, image=ONE),
        report("alike", 2, image=ONE),
        retraction("alike", 4, image=ONE),
        report("second", 5, image=ONE, group=group),
    )
    try:
        runner.run(both.check([history], {}))
    finally:
        runner.run(client.aclose())


class Spelled(Digests):
    """The digest of somebody spells a reason, right behind the table of the reasons."""

    def reporter(self, reporter_id: str) -> bytes:
        return b"spam\0ABC" if reporter_id == "first" else super().reporter(reporter_id)


def test_a_digest_is_not_taken_for_a_reason(any_redis_url: str, runner: asyncio.Runner) -> None:
    client = connect(any_redis_url)
    both = Both(client)
    both.digests = Spelled(KEY)
    history = batch(
        9,
        9,
        report("first", 1, image=ONE, reason="nudity"),
        report("second", 2, image=ONE, reason="spam"),
        report("third", 3, image=ONE, reason="spam"),
    )
    try:
        runner.run(both.check([history], {}))
    finally:
        runner.run(client.aclose())


def test_a_case_shows_what_was_packed(redis_url: str, runner: asyncio.Runner) -> None:
    """Written by hand: a change of the layout would make every stored case unreadable."""

    async def scenario() -> list[bytes | None]:
        client = connect(redis_url)
        both = Both(client)
        rule = Policy(block_threshold=9, report_window=1000)
        await both.store(rule).apply(
            [
                report("user-1", 5, reason="spam"),
                report("user-2", 3, reason="nudity", group="g"),
                retraction("user-3", 9),
                report("user-4", 4, reason="other"),
                report("user-5", 4),
            ]
        )
        values = [await both.value("img-42")]
        rule = Policy(block_threshold=3, report_window=1000)
        await both.store(rule).apply([report("user-6", 6, reason="nudity")])
        await both.store(rule).apply([retraction("user-7", 8), retraction("user-3", 7)])
        await both.store(rule).apply([Review("b", BASE, BASE, Verdict.UPHELD)])
        values += [await both.value("img-42"), await both.value("b")]
        await client.aclose()
        return values

    value, blocked, by_moderator = runner.run(scenario())
    digests = Digests(KEY)

    def time(offset: int) -> bytes:
        return (BASE + offset).to_bytes(6, "little")

    assert value == b"".join(
        [
            b"\x04" + time(-996) + time(5) + b"\x04\x00",
            b"\x0d\0spam\0nudity\0",
            digests.reporter("user-2") + time(3) + b"\x06" + digests.group("g"),
            digests.reporter("user-4") + time(4) + b"\xff" + bytes(8),
            digests.reporter("user-5") + time(4) + b"\x00" + bytes(8),
            digests.reporter("user-1") + time(5) + b"\x01" + bytes(8),
            digests.reporter("user-3") + time(9) + b"\xfe" + bytes(8),
        ]
    )
    policy = int(Policy(block_threshold=3, report_window=1000).hash, 16).to_bytes(4, "little")
    assert blocked == b"".join(
        [
            b"\x17" + time(6) + time(6) + b"\0\0",
            b"\x01\0\0\0" + time(0) + bytes(6) + b"\0\x01",
            b"\x31\0" + policy + b"\x03\0" + b"\x05\0" + time(3) + time(6),
            b"\x02\0nudity\0" + b"\x01\0other\0" + b"\x01\0\0" + b"\x01\0spam\0",
            b"\0",
            digests.reporter("user-7") + time(8) + b"\xfe" + bytes(8),
            digests.reporter("user-3") + time(9) + b"\xfe" + bytes(8),
        ]
    )
    assert by_moderator == b"".join(
        [
            b"\x13" + bytes(6 + 6 + 2),
            b"\x01\0\0\0" + time(0) + time(0) + b"\x01\x02",
            b"\x0a\0" + policy + b"\x03\0" + b"\0\0",
            b"\0",
        ]
    )
