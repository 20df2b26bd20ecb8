"""Draws a replay: blocks and reviews over time, and how long blocks took. Needs the extra `backtest`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from image_moderation.backtest.measures import Timeline
from image_moderation.backtest.run import Run
from image_moderation.backtest.summary import words

# Okabe and Ito's, which people with any colour vision tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":")
TICKS = tuple(
    1000 * seconds
    for seconds in (1, 10, 60, 600, 3_600, 6 * 3_600, 86_400, 7 * 86_400, 30 * 86_400, 365 * 86_400)
)
"""Of the time to block, in milliseconds."""


def draw(runs: Sequence[Run], path: Path) -> None:
    """Write the picture in the format that the path's suffix names: png, svg, pdf.

    Raises:
        OSError: it can't be written.
        ValueError: the format is unknown.
    """
    reviews = any(run.measures.reviews for run in runs)
    figure = Figure(figsize=(9, 9.5 if reviews else 6.8), layout="constrained")
    axes = figure.subplots(3 if reviews else 2, 1)
    _over_time(axes[0], "Automatic blocks", runs, [run.measures.blocks_over_time for run in runs])
    if reviews:
        _over_time(axes[1], "Reviews asked for", runs, [run.measures.reviews_over_time for run in runs])
    _time_to_block(axes[-1], runs)
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(axis="y", alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(path, dpi=150)


def supported(path: Path) -> bool:
    """Whether the path's suffix names a format that can be written."""
    return path.suffix.removeprefix(".").lower() in Figure().canvas.get_supported_filetypes()


def _over_time(axes: Axes, title: str, runs: Sequence[Run], timelines: Sequence[Timeline]) -> None:
    width = max(timeline.width for timeline in timelines)
    for number, (run, timeline) in enumerate(zip(runs, timelines, strict=True)):
        timeline.widen(width)
        bins = list(timeline.bins())
        if bins:
            begin, last = bins[0][0], bins[-1][0] + width
            counts = [0, *(count for _, count in bins), 0]
            times = [_time(at) for at in (begin, *(at for at, _ in bins), last)]
            axes.step(times, counts, where="post", label=_label(run), **_style(number))  # type: ignore[arg-type]
        else:
            axes.plot([], [], label=_label(run), **_style(number))  # type: ignore[arg-type]
    axes.set_title(f"{title}, per {words(width)}", loc="left", fontsize=11)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    if any(any(timeline.bins()) for timeline in timelines):
        locator = AutoDateLocator()  # type: ignore[no-untyped-call]  # as the next has no types
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))  # type: ignore[no-untyped-call]
    else:
        _empty(axes)


def _time_to_block(axes: Axes, runs: Sequence[Run]) -> None:
    axes.set_title("Share of blocks by time from first report to block", loc="left", fontsize=11)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
    if not any(len(run.measures.time_to_block) for run in runs):
        _empty(axes)
        return
    axes.set_xscale("log")
    least, most = [], []
    for number, run in enumerate(runs):
        if points := list(run.measures.time_to_block.cumulative()):
            times = [max(1, time) for time, _ in points]
            shares = [share for _, share in points]
            axes.step([times[0], *times], [0, *shares], where="post", **_style(number))  # type: ignore[arg-type]
            least.append(times[0])
            most.append(times[-1])
    low, high = min(least) / 1.5, max(most) * 1.5
    ticks = [tick for tick in TICKS if low <= tick <= high]
    if len(ticks) < 2:
        # So short a span that none of the round times lies in it.
        ticks = sorted({min(least), max(most)})
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(FixedLocator([]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda time, _: words(round(time))))


def _label(run: Run) -> str:
    return f"{run.setting.name} ({run.setting.policy.hash})"


def _style(number: int) -> dict[str, object]:
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": LINES[number // len(COLOURS) % len(LINES)],
        "linewidth": 1.8,
    }


def _empty(axes: Axes) -> None:
    axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", va="center", color="grey")
    axes.set_xticks([])


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
