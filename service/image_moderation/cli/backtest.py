"""`backtest`: replays recorded reports and verdicts under one or several settings."""

import asyncio
import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from image_moderation.backtest.recording import Recording, Refused, merged
from image_moderation.backtest.replay import Replay
from image_moderation.backtest.summary import as_values, rows, why
from image_moderation.brokers.port import INCOMING
from image_moderation.cli.lines import open_lines, size_of
from image_moderation.cli.output import (
    Failed,
    WrongCall,
    complain,
    note,
    plain,
    progress,
    say,
    say_json,
    table,
)
from image_moderation.cli.settings_files import choose
from image_moderation.domain.report import Report, Review
from image_moderation.events.parse import Malformed
from image_moderation.settings import Settings
from image_moderation.wiring import broker_client, clock


def run(
    files: Sequence[Path],
    given: Sequence[str],
    *,
    from_broker: bool,
    differences: int,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Replay the recordings, and print what each setting makes of them."""
    chosen = choose(given)
    broker = Settings.load() if from_broker else None
    if plot is not None:
        _check_plot(plot)
    refused = Refused()
    replay = Replay([one.setting for one in chosen], keep_differences=differences)
    max_bytes = max(one.max_event_bytes for one in chosen)

    def recording(name: str) -> Recording:
        return Recording(name, now=clock(), max_bytes=max_bytes, refused=refused)

    # Nothing here is a circle, and looking for one in millions of cases takes as long as the replay.
    gc.freeze()
    gc.disable()
    try:
        if broker is not None:
            asyncio.run(_replay_broker(broker, recording(""), replay, refused))
        else:
            _replay_files(files, recording, replay)
    finally:
        gc.enable()
        gc.unfreeze()
    replay.end()
    _print(replay, refused, as_json=as_json)
    if plot is not None:
        _draw(replay, plot)
    if not replay.events:
        if refused.counts:
            raise Failed("no message could be read")
        note("there are no reports and no verdicts")


def _replay_files(files: Sequence[Path], recording: Callable[[str], Recording], replay: Replay) -> None:
    sizes = [size_of(file) for file in files]
    with ExitStack() as stack:
        total = None if None in sizes else sum(size or 0 for size in sizes)
        advance = stack.enter_context(progress("replaying", total))
        recordings = [recording("-" if str(file) == "-" else file.name) for file in files]
        streams = [
            one.events(_numbered(stack.enter_context(open_lines(file, advance))))
            for one, file in zip(recordings, files, strict=True)
        ]
        for event in merged(streams):
            replay.add(event)
    if behind := sum(one.behind for one in recordings):
        complain(
            f"{behind} lines without `arrived` have a time more than a day before a line above them: if a "
            "clock was wrong there, what follows it is replayed too late"
        )
    if replay.out_of_order:
        complain(
            f"{replay.out_of_order} events stood too late in their file to be replayed in order: sort it"
        )


def _numbered(chunks: Iterator[list[bytes]]) -> Iterator[tuple[int, bytes]]:
    return enumerate(chain.from_iterable(chunks), 1)


async def _replay_broker(settings: Settings, recording: Recording, replay: Replay, refused: Refused) -> None:
    with progress("replaying") as advance:
        async with broker_client(settings) as client:
            async for message in client.history(INCOMING):
                try:
                    event: Report | Review = recording.message(message)
                except Malformed as malformed:
                    refused.add(f"{message.channel} {message.position}", malformed)
                else:
                    replay.add(event)
                advance(1)


def _print(replay: Replay, refused: Refused, *, as_json: bool) -> None:
    for reason, count in refused.counts.most_common():
        places = ", ".join(refused.places[reason]) + (", …" if count > len(refused.places[reason]) else "")
        complain(plain(f"{count} left out: {reason} ({places}): {refused.errors[reason]}"))
    if as_json:
        say_json(as_values(replay, refused))
        return
    table(("", *(run.setting.name for run in replay.runs)), rows(replay))
    if len(replay.runs) > 1:
        say(f"images on which the settings differ: {replay.differences.count}")
    for difference in replay.differences.kept:
        say(f"{plain(difference.image_id)}: {difference.reports} reports")
        for run, ending in zip(replay.runs, difference.endings, strict=True):
            say(f"  {plain(run.setting.name)}: {why(ending, run.setting.policy)}")


def _check_plot(path: Path) -> None:
    """Refuse a plot that can't be drawn before the replay, which may take minutes.

    Raises:
        WrongCall: the extra is missing, or the file can't be written.
    """
    if find_spec("matplotlib") is None:
        raise WrongCall(
            "--plot: needs matplotlib: pip install '.[backtest]' in a checkout of image-moderation"
        )
    from image_moderation.backtest.plot import supported

    if not supported(path):
        raise WrongCall(f"--plot: {plain(path)}: takes a name that ends with .png, .svg or .pdf")
    if not path.absolute().parent.is_dir():
        raise WrongCall(f"--plot: {plain(path)}: there is no such folder")


def _draw(replay: Replay, path: Path) -> None:
    from image_moderation.backtest.plot import draw

    try:
        draw(replay.runs, path)
    except OSError as error:
        raise Failed(f"{plain(path)}: can't be written: {error.strerror}") from None
    note(f"plot: {plain(path)}")
