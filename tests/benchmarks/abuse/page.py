"""The result as one page with plots, which needs no other file."""

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

from tests.benchmarks.abuse import assumptions
from tests.benchmarks.abuse.results import Results
from tests.benchmarks.abuse.tables import Table, by_size

COLOURS = ("#b0b0b0", "#1f6f8b", "#2e8b57", "#8bb174", "#e0a458", "#c8553d")
STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0;font-size:.9rem;display:block;overflow-x:auto}
td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #ddd;vertical-align:bottom}
td:first-child,th:first-child,td:last-child,th:last-child{text-align:left}img{max-width:100%}"""


def render(about: str, tables: Sequence[Table], results: Results) -> str:
    """Return the page."""
    parts = [
        "<!doctype html><meta charset=utf-8><title>image-moderation: what a crowd can buy</title>",
        f"<style>{STYLE}</style><h1>What a crowd of fake accounts can buy</h1><p>{html.escape(about)}</p>",
    ]
    encoded = [base64.b64encode(drawn).decode() for drawn in plots(results).values()]
    parts += [f'<p><img alt="" src="data:image/svg+xml;base64,{drawn}"></p>' for drawn in encoded]
    rows = [["name", "value", "unit", "source"], *(list(row) for row in assumptions.table())]
    for table in (*tables, Table("Assumptions", "All of them.", rows)):
        parts.append(f"<h2>{html.escape(table.title)}</h2><p>{html.escape(table.note)}</p><table>")
        for number, row in enumerate(table.rows):
            cell = "td" if number else "th"
            parts.append("<tr>" + "".join(f"<{cell}>{html.escape(text)}</{cell}>" for text in row) + "</tr>")
        parts.append("</table>")
    return "\n".join(parts) + "\n"


def plots(results: Results) -> dict[str, bytes]:
    """Return each plot by name, as SVG."""
    # Ids that don't change from run to run, and text as text: the committed plots differ only where figures
    # do.
    mpl.rcParams.update({"svg.hashsalt": "abuse", "svg.fonttype": "none", "font.size": 10})
    found = {"harm": _harm(results)}
    if results.contenders("accounts"):
        found["accounts"] = _accounts(results)
    if results.contenders("options"):
        found["options"] = _scatter(results)
    return found


def _drawn(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.tight_layout()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    return buffer.getvalue()


def _harm(results: Results) -> bytes:
    """For each policy: harm done by each strategy of the grid, the best response marked, and recall."""
    names = results.contenders("headline")
    figure, (blocks, recall) = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True, width_ratios=(2, 1))
    for place, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
        best = results.best("headline", name)
        every = [one.sum.per_1000 for one in results.all("headline", name)]
        blocks.plot(every, [place] * len(every), "|", color=colour, markersize=14)
        blocks.plot(best.sum.per_1000, place, "o", color=colour)
        blocks.annotate(
            f"{best.sum.per_1000:.0f}",
            (best.sum.per_1000, place),
            (0, 9),
            textcoords="offset points",
            ha="center",
        )
        recall.barh(place, best.sum.recall, color=colour)
        recall.annotate(f" {best.sum.recall:.2f}", (best.sum.recall, place), va="center")
    blocks.set_yticks(range(len(names)), names)
    blocks.set_ylim(len(names) - 0.4, -0.7)
    blocks.set_xlim(0, 1_050)
    blocks.set_title(
        "wrongful blocks per 1,000 attacked benign images\n(a line a strategy, dot: best response)"
    )
    recall.set_xlim(0, 1.15)
    recall.set_title("share of the violating\nimages blocked")
    for axes in (blocks, recall):
        axes.spines[["top", "right"]].set_visible(False)
    return _drawn(figure)


def _accounts(results: Results) -> bytes:
    """Wrongful blocks by accounts of each crowd."""
    figure, axes = plt.subplots(figsize=(8, 3.6))
    for name, colour in zip(results.contenders("accounts"), COLOURS, strict=False):
        sizes = sorted({one.strategy.accounts for one in results.all("accounts", name)})
        axes.plot(
            sizes,
            [by_size(results, name, size) for size in sizes],
            "o-",
            color=colour,
            label=name,
            markersize=4,
        )
    axes.set_xlabel("accounts of each crowd")
    axes.set_ylabel("wrongful blocks per 1,000")
    axes.legend(frameon=False, fontsize=9)
    axes.grid(visible=True, alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    return _drawn(figure)


def _scatter(results: Results) -> bytes:
    """Each option: harm against recall."""
    figure, axes = plt.subplots(figsize=(10, 5.5))
    close: dict[tuple[int, int], list[tuple[str, float, float]]] = {}
    for name in results.contenders("options"):
        one = results.best("options", name).sum
        colour = COLOURS[2] if name.startswith("moderated") else COLOURS[1]
        axes.plot(one.per_1000, one.recall, "o", color=colour)
        # Options that come to about the same place share one label, a line each.
        place = round(one.per_1000 / 60), round(one.recall / 0.08)
        close.setdefault(place, []).append((name, one.per_1000, one.recall))
    for every in close.values():
        names, across, up = zip(*every, strict=True)
        at = (max(across), sum(up) / len(up))
        axes.annotate("\n".join(names), at, (7, 0), textcoords="offset points", fontsize=7, va="center")
    axes.margins(x=0.12)
    axes.set_xlabel("wrongful blocks per 1,000 attacked benign images")
    axes.set_ylabel("share of the violating images blocked")
    axes.grid(visible=True, alpha=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    return _drawn(figure)
