"""The judge of fault tests: what must have come of the messages, and whether it has.

What is expected is counted by `tests.benchmarks.model`, which knows nothing of the service. What there is, is
read where everybody may look: in the channels of the broker, and by the commands `blocked` and `inspect`.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from tests.benchmarks.compare import Difference, Fault, compare, difference, letter_of
from tests.benchmarks.load import publish, sample
from tests.benchmarks.model import Expected, Letter, Message, count
from tests.support.waiting import wait_until

GROUP = "image-moderation"
REPORTED, BLOCKED, DEAD = "image.reported", "image.blocked", "image.dead-letter"


class Stored(NamedTuple):
    """What the commands tell of the store."""

    blocked: Sequence[str]
    """Each image that `blocked` lists, as often as it does."""
    counts: Mapping[str, int | None]
    """By image that was looked at: how many count; None if it is blocked."""


@dataclass(frozen=True)
class Outcome:
    """How the outcome differs from what is expected."""

    differences: Sequence[Difference]
    repeats: int
    """Blocks that came again under the same event id and with the same bytes."""

    @property
    def lines(self) -> list[str]:
        """One for each difference."""
        return [str(one) for one in self.differences]

    def number(self, *faults: Fault) -> int:
        """Images and dead letters that are lost, or doubled, and so on."""
        return sum(one.number for one in self.differences if one.fault in faults)


def judge(
    expected: Expected,
    blocks: Sequence[bytes],
    letters: Sequence[bytes],
    *,
    stored: Stored | None = None,
    may_repeat: bool = False,
    own_position: bool = True,
    sent_again: Iterable[Letter] = (),
) -> Outcome:
    """Compare what came with what had to come.

    A dead letter may occur twice under the same id. So may a block where the broker delivers at least once,
    which `may_repeat` says. Without `own_position` messages alike have one dead letter. `sent_again` are
    malformed messages that a producer may have published twice, because it got no confirmation.
    """
    by_id: dict[str, bytes] = {}
    other: list[str] = []
    for block in blocks:
        name = json.loads(block)["id"]
        if by_id.setdefault(name, block) != block:
            other.append(name)
    once = list({json.loads(letter)["id"]: letter for letter in letters}.values())
    wanted = expected.letters
    if not own_position:  # messages alike have one id, so one dead letter stands for all of them
        wanted = Counter(dict.fromkeys(wanted, 1))
        once = list({letter_of(letter): letter for letter in once}.values())
    wanted += (Counter(map(letter_of, once)) - wanted) & Counter(sent_again)
    found = compare(replace(expected, letters=wanted), list(by_id.values()) if may_repeat else blocks, once)
    found.append(difference(Fault.WRONG, "one event id, two contents", other))
    if stored is not None:
        found += _differences_of_state(expected, stored)
    return Outcome([one for one in found if one.names], len(blocks) - len(by_id))


def _differences_of_state(expected: Expected, stored: Stored) -> list[Difference]:
    listed = Counter(stored.blocked)
    counted = {name: (number, expected.open[name]) for name, number in stored.counts.items()}
    return [
        difference(Fault.LOST, "not blocked in the store", expected.must - listed.keys()),
        difference(Fault.WRONG, "blocked in the store", listed.keys() - expected.may),
        difference(
            Fault.LOST,
            "fewer count in the store",
            [f"{name} ({a} of {b})" for name, (a, b) in counted.items() if a is not None and a < b],
        ),
        difference(
            Fault.DOUBLED,
            "more count in the store",
            [f"{name} ({a} of {b})" for name, (a, b) in counted.items() if a is None or a > b],
        ),
    ]


def merge(parts: Sequence[Expected]) -> Expected:
    """Return what is expected of several histories together, no two of which name the same image."""
    return Expected(
        must=frozenset().union(*(one.must for one in parts)),
        may=frozenset().union(*(one.may for one in parts)),
        decided_by={},
        letters=sum((one.letters for one in parts), Counter[Letter]()),
        kinds=sum((one.kinds for one in parts), Counter()),
        threshold=parts[0].threshold,
        open={name: number for one in parts for name, number in one.open.items()},
    )


def make_sample(
    size: int = 1_500, *, seed: int = 7, malformed: float = 0.02, images: int = 600, people: int = 500
) -> tuple[list[Message], Expected]:
    """Return a realistic sample and its expected outcome, which is unique."""
    messages = sample(
        size, seed=seed, now=int(time.time() * 1000), malformed=malformed, images=images, people=people
    )
    expected = count(messages)
    assert expected.exact
    return messages, expected


def send(client: Any, messages: Sequence[Message]) -> None:
    for _ in publish(client, messages):
        pass


def all_done(client: Any, store: Any = None) -> bool:
    """Return whether nothing is unread, nothing is pending, and the outbox is empty."""
    groups = [group for group in client.xinfo_groups(REPORTED) if group["name"] == GROUP.encode()]
    outboxes = sum((store or client).zcard(f"moderation:{{p{n:02}}}:outbox") for n in range(64))
    return bool(groups) and groups[0]["lag"] == 0 and groups[0]["pending"] == 0 and outboxes == 0


def wait_done(client: Any, store: Any = None, timeout: float = 30) -> None:
    wait_until(lambda: all_done(client, store), "every message and decision done with", timeout)


def entries(client: Any, stream: str) -> list[bytes]:
    return [fields[b"__data__"] for _, fields in client.xrange(stream)]


def wrong(client: Any, expected: Expected) -> list[str]:
    """Return the differences from the expected outcome on a Redis, which stores a decision exactly once."""
    return judge(expected, entries(client, BLOCKED), entries(client, DEAD)).lines
