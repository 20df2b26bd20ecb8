"""`republish`: publishes the state of images again, for consumers that lost events."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from image_moderation.cli.output import (
    Failed,
    complain,
    encodable,
    explain_outage,
    plain,
    progress,
    say,
    say_json,
)
from image_moderation.cli.scanning import report_unreadable, scan_progress
from image_moderation.cli.since import parse_since
from image_moderation.domain.case import Case
from image_moderation.domain.errors import Unavailable
from image_moderation.domain.message import Outgoing
from image_moderation.events.state import state_message
from image_moderation.settings import Settings
from image_moderation.store.scan import CaseScan
from image_moderation.wiring import broker_client, case_scan, clock, policy

PAGE = 500
"""Events published at once."""


@dataclass
class Result:
    """The progress so far."""

    published: Counter[str] = field(default_factory=Counter)
    """Events by channel; of a dry run those that would be published."""
    undecided: list[str] = field(default_factory=list)
    """Named images without any decision."""
    earlier: list[str] = field(default_factory=list)
    """Named images whose latest decision is older than --since."""


def run(images: Sequence[str], since: str | None, *, dry_run: bool, as_json: bool) -> None:
    """Publish the state of these images, or of all; with `dry_run` only count what would be published."""
    now = clock()
    decided_since = parse_since(since, now)
    named = list(dict.fromkeys(encodable(image, "IMAGE") for image in images))
    result = Result()
    try:
        asyncio.run(_republish(Settings.load(), named, decided_since, now, result, dry_run=dry_run))
    except Unavailable as error:
        before = f"{result.published.total()} events were published before, perhaps a few more"
        raise Failed(f"{explain_outage(error)}; {before}; repeating is safe") from None
    if as_json:
        say_json(
            {
                "would_publish" if dry_run else "published": result.published.total(),
                "channels": dict(result.published),
                "never_decided": result.undecided,
                "decided_earlier": result.earlier,
            }
        )
    else:
        did = "would be published" if dry_run else "published"
        say(f"{result.published.total()} {did}{_by_channel(result.published)}")
    for image in result.undecided:
        complain(f"{plain(image)}: there is no decision about it, so there is nothing to publish")
    for image in result.earlier:
        complain(f"{plain(image)}: it was decided before --since, so nothing was published")
    if result.undecided:
        raise Failed(f"{len(result.undecided)} of {len(named)} images were never decided")


async def _republish(
    settings: Settings, named: Sequence[str], since: int | None, now: int, result: Result, *, dry_run: bool
) -> None:
    policy_hash = policy(settings).hash
    async with AsyncExitStack() as stack:
        cases = await stack.enter_async_context(case_scan(settings))
        client = None if dry_run else await stack.enter_async_context(broker_client(settings))
        messages: list[Outgoing] = []

        async def publish() -> None:
            if client is not None:
                await client.publish(messages)
            result.published.update(message.channel for message in messages)
            messages.clear()

        chosen = _named(cases, named, since, result) if named else _all(cases, since)
        async for image, case in chosen:
            messages.append(state_message(image, case, policy_hash, now))
            if len(messages) >= PAGE:
                await publish()
        if messages:
            await publish()
        report_unreadable(cases)


async def _all(cases: CaseScan, since: int | None) -> AsyncIterator[tuple[str, Case]]:
    with scan_progress() as show:
        async for pair in cases.decided(since, show):
            yield pair


async def _named(
    cases: CaseScan, images: Sequence[str], since: int | None, result: Result
) -> AsyncIterator[tuple[str, Case]]:
    with progress("republishing", len(images)) as advance:
        for image in images:
            case = await cases.case(image)
            if not case.revision:
                result.undecided.append(image)
            elif case.decided_at < (since or 0):
                result.earlier.append(image)
            else:
                yield image, case
            advance(1)


def _by_channel(published: Counter[str]) -> str:
    return (
        f" ({', '.join(f'{count} to {name}' for name, count in sorted(published.items()))})"
        if published
        else ""
    )
