"""`watch`: decisions as they come."""

import json
import signal
from typing import cast

import redis

from tests.support.command_line import subprocess_of


def decision(image: str) -> bytes:
    data = {
        "image_id": image,
        "revision": 1,
        "state": "blocked",
        "decided_at": "2026-11-23T10:00:07.123Z",
        "trigger": "threshold",
        "distinct_reporters": 5,
        "threshold": 5,
        "reasons": {"nudity": 4, "spam": 1},
    }
    return json.dumps({"type": "image.blocked.v1", "data": data}).encode()


def test_watch_shows_what_comes_until_ctrl_c(redis_url: str, client: redis.Redis) -> None:
    client.xadd("image.blocked", {"__data__": decision("before")})
    with subprocess_of("watch", broker=redis_url) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"watching image.blocked")
        client.xadd("image.blocked", {"__data__": decision("img\x1b[31m")})
        client.xadd("image.blocked", {"__data__": b"no event"})
        assert process.stdout.readline().decode().rstrip() == (
            "2026-11-23T10:00:07.123Z  img\\x1b[31m  blocked  revision 1  by threshold  "
            "5 of 5 reporters  nudity 4, spam 1"
        )
        assert b"not an event" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert process.stderr.read() == b""


def test_watch_shows_all_kinds_of_decisions(redis_url: str, client: redis.Redis) -> None:
    facts = json.loads(decision("img"))["data"]
    unblocked = {
        "image_id": "img",
        "revision": 3,
        "state": "open",
        "decided_at": "2026-11-23T11:00:00.000Z",
        "automated": False,
        "trigger": "moderator",
        "policy": "3f9a1c77",
    }
    review = facts | {"state": "open", "trigger": "breaker", "reasons": {}}
    by_moderator = unblocked | {"state": "blocked", "distinct_reporters": 0, "threshold": 5, "reasons": {}}
    with subprocess_of("watch", broker=redis_url) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline().startswith(
            b"watching image.blocked, image.unblocked, image.review-requested;"
        )
        for channel, data, line in (
            (
                "image.review-requested",
                review,
                "2026-11-23T10:00:07.123Z  img  review requested  revision 1  by breaker  5 of 5 reporters",
            ),
            (
                "image.unblocked",
                unblocked,
                "2026-11-23T11:00:00.000Z  img  open  revision 3  by moderator",
            ),
            (
                "image.blocked",
                by_moderator,
                "2026-11-23T11:00:00.000Z  img  blocked  revision 3  by moderator  0 of 5 reporters",
            ),
        ):
            client.xadd(channel, {"__data__": json.dumps({"type": f"{channel}.v1", "data": data})})
            assert process.stdout.readline().decode().rstrip() == line
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_watch_from_the_start_gives_raw_events_to_programs(redis_url: str, client: redis.Redis) -> None:
    bodies = [decision("one"), decision("two")]
    for body in bodies:
        client.xadd("image.blocked", {"__data__": body})
    with subprocess_of("watch", "--from-start", "--json", broker=redis_url) as process:
        assert process.stdout is not None
        assert [process.stdout.readline().rstrip() for _ in bodies] == bodies
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    groups = cast("list[object]", client.xinfo_groups("image.blocked"))
    assert groups == []
