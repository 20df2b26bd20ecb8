"""`forget`: removes a case."""

import asyncio
import struct
from collections.abc import Sequence

from image_moderation.cli.output import Failed, confirmation, encodable, note, plain, say, say_json
from image_moderation.domain.case import Case
from image_moderation.domain.decision import Decision, State
from image_moderation.settings import Settings
from image_moderation.wiring import case_scan, reading_store


def run(image: str, *, yes: bool, as_json: bool) -> None:
    """Remove the image's case, once that is confirmed."""
    ask = confirmation("forget: it removes what is known about the image", yes=yes)
    settings = Settings.load()
    known, case, waiting = asyncio.run(_read(settings, encodable(image, "IMAGE")))
    if known:
        ask(f"Forget {image}, {_words(case)}?")
    removed = asyncio.run(_forget(settings, image))
    if as_json:
        say_json(
            {
                "image_id": image,
                "forgotten": removed,
                "state": case.state if removed and case else None,
                "reporters": len(case.records) if removed and case else None,
                "waiting_in_outbox": len(waiting),
            }
        )
    elif removed:
        say(plain(f"{image}: forgotten, {_words(case)}"))
        if case and case.state is State.BLOCKED:
            note("This unblocks nothing: consumers that blocked the image keep it blocked.")
    if waiting and not as_json:
        note(f"Decisions not published yet: {len(waiting)}; they stay in the outbox and will be published.")
    if not removed:
        raise Failed(f"{plain(image)}: nothing is known about it")


async def _read(settings: Settings, image: str) -> tuple[bool, Case | None, Sequence[Decision]]:
    """Return whether there is a case, the case if this version can read it, and its unpublished decisions."""
    async with reading_store(settings) as store:
        try:
            case, waiting = await store.case(image)
        except (struct.error, ValueError, IndexError):
            return True, None, ()
        return case.known, case, waiting


async def _forget(settings: Settings, image: str) -> bool:
    async with case_scan(settings) as cases:
        return await cases.forget(image)


def _words(case: Case | None) -> str:
    """Return what was removed, in words."""
    if case is None:
        return "though this version could not read its case"
    if case.state is State.BLOCKED:
        return f"which was blocked, revision {case.revision}"
    of = "reporter" if len(case.records) == 1 else "reporters"
    verdict = f", {case.verdict} by a moderator" if case.verdict else ""
    return f"with the records of {len(case.records)} {of}{verdict}"
