"""A reply of Redis is lost after its command was applied, for each command that the service sends."""

import time
from collections.abc import Callable

import pytest

from image_moderation.store import lua
from tests.benchmarks.model import count
from tests.support.faulty_site import APART, ONE_REDIS, FaultySite, Row
from tests.support.outcome import make_sample
from tests.support.proxy_thread import ProxyThread

PIECE = 60
COMES_AGAIN = 6.0
"""Seconds in which a command comes again that is not only for the start: tidying is, every five."""
SCRIPTS = {script.sha: script.name for script in vars(lua).values() if isinstance(script, lua.Script)}
MUST = {"XREADGROUP", "XACK", "XADD", "apply"}
"""Seen everywhere; a proxy that recognised nothing would prove nothing."""


def _matches(way: ProxyThread) -> dict[str, bytes]:
    """Return what to look for in a request, by the name of each command and script that came so far."""
    found = {}
    for command, argument in way.proxy.commands:
        if command == b"EVALSHA":
            found[SCRIPTS[argument]] = argument
        elif command == b"EVAL":
            found[argument.decode().splitlines()[0]] = argument[:200]
        else:
            found[command.decode()] = b"\r\n%s\r\n" % command
    return found


def _drop(site: FaultySite, way: ProxyThread, match: bytes) -> bool:
    """Drop the reply to the next such command, if need be to one of a new process; return whether it came."""
    before = way.proxy.dropped_replies
    way.set("drop_reply_once", match)
    for attempt in range(2):
        if attempt:
            site.replicas[0].kill()
            site.replicas[0].start()
        deadline = time.monotonic() + COMES_AGAIN
        while time.monotonic() < deadline:
            if way.proxy.dropped_replies > before:
                return True
            time.sleep(0.02)
    return False


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("faulty_site", [ONE_REDIS, APART], indirect=True)
def test_a_reply_is_lost_to_each_command(
    faulty_site: FaultySite, seed: int, record: Callable[[Row], None]
) -> None:
    site = faulty_site
    messages, _ = make_sample(3_000, seed=seed, malformed=0.05)
    sent = 10 * PIECE
    site.replica(MODERATION_BATCH_SIZE="20")
    site.publish(messages[:sent])
    site.wait_done()
    dropped: set[str] = set()
    rare: set[str] = set()
    for way in {site.to_broker, site.to_store}:
        for name, match in sorted(_matches(way).items()):
            site.publish(messages[sent : sent + PIECE])
            sent += PIECE
            (dropped if _drop(site, way, match) else rare).add(name)
            way.set("pass_through")
    site.recover()
    print(f"\n{site.broker}: lost the replies to {sorted(dropped)}; did not come again: {sorted(rare)}")
    assert dropped >= MUST
    row = site.judged(f"a reply lost, of {len(dropped)} commands", count(messages[:sent]))
    record(row)
    site.assert_at_rest()
