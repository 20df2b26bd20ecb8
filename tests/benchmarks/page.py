"""The result of the benchmark as one page with plots, which needs no other file."""

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

COLOURS = {"naive": "#b0b0b0", "service": "#1f6f8b", "node": "#8bb174", "ceiling": "#e0a458"}
LABELS = {
    "naive": "plain handler",
    "service": "image-moderation",
    "node": "Node.js, ioredis",
    "ceiling": "redis-cli --pipe",
}
STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0}
td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #ddd}
td:first-child,th:first-child{text-align:left}img{max-width:100%}"""


def render(result: dict[str, Any], tables: Sequence[tuple[str, list[list[str]]]]) -> str:
    """Return the page: the tables, as rows with a head, then the plots of what was measured."""
    parts = [
        "<!doctype html><meta charset=utf-8><title>image-moderation: benchmark</title>",
        f"<style>{STYLE}</style>",
    ]
    parts.append("<h1>Benchmark</h1>")
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    parts.append(f"<p>{html.escape(machine)}</p>")
    for title, rows in tables:
        parts.append(f"<h2>{html.escape(title)}</h2><table>")
        for number, row in enumerate(rows):
            cell = "td" if number else "th"
            parts.append("<tr>" + "".join(f"<{cell}>{html.escape(text)}</{cell}>" for text in row) + "</tr>")
        parts.append("</table>")
    plots = [plot(result) for plot in (_rates, _cpu, _latencies)]
    parts += [f'<p><img alt="" src="data:image/svg+xml;base64,{drawn}"></p>' for drawn in plots if drawn]
    return "\n".join(parts) + "\n"


def _drawn(figure: Any) -> str:
    buffer = io.BytesIO()
    figure.tight_layout()
    figure.savefig(buffer, format="svg")
    plt.close(figure)
    return base64.b64encode(buffer.getvalue()).decode()


def _rates(result: dict[str, Any]) -> str:
    """Reports a second: a bar for the median of each contestant, a line from the least to the most."""
    streams = result.get("throughput", [])
    if not streams:
        return ""
    figure, every = plt.subplots(1, len(streams), figsize=(5 * len(streams), 3.2), squeeze=False)
    for axes, stream in zip(every[0], streams, strict=True):
        for place, (name, runs) in enumerate(stream["runs"].items()):
            rates = sorted(run["reports_per_second"] for run in runs)
            middle = stream["medians"][name]["reports_per_second"]
            axes.barh(place, middle, color=COLOURS[name], label=LABELS[name])
            axes.plot([rates[0], rates[-1]], [place, place], color="#222", linewidth=1.5)
            axes.annotate(f" {middle:,.0f}", (rates[-1], place), va="center", fontsize=9)
        axes.set_yticks(range(len(stream["runs"])), [LABELS[name] for name in stream["runs"]])
        axes.invert_yaxis()
        axes.margins(x=0.2)
        axes.locator_params(axis="x", nbins=4)
        axes.set_title(f"reports a second, {stream['stream']} stream")
        axes.spines[["top", "right"]].set_visible(False)
    return _drawn(figure)


def _cpu(result: dict[str, Any]) -> str:
    """CPU time a report, client and server."""
    streams = result.get("throughput", [])
    if not streams:
        return ""
    figure, every = plt.subplots(1, len(streams), figsize=(5 * len(streams), 3.2), squeeze=False)
    for axes, stream in zip(every[0], streams, strict=True):
        names = [name for name in stream["medians"] if name != "naive"]
        for place, name in enumerate(names):
            run = stream["medians"][name]
            server = run["server_us_per_report"]
            client = run["client_us_per_report"] if name != "ceiling" else 0.0
            axes.barh(place, server, color="#c8553d", label="server" if not place else None)
            axes.barh(place, client, left=server, color="#1f6f8b", label="client" if not place else None)
            axes.annotate(f" {server:.1f} + {client:.1f}", (server + client, place), va="center", fontsize=9)
        axes.set_yticks(range(len(names)), [LABELS[name] for name in names])
        axes.invert_yaxis()
        axes.margins(x=0.25)
        axes.legend(frameon=False, fontsize=9)
        axes.set_title(f"CPU microseconds a report, {stream['stream']}")
        axes.spines[["top", "right"]].set_visible(False)
    return _drawn(figure)


def _latencies(result: dict[str, Any]) -> str:
    """Report to block: which share took longer than so many milliseconds, for each rate."""
    rates = sorted({one["rate"] for one in result.get("latency", [])})
    if not rates:
        return ""
    figure, every = plt.subplots(1, len(rates), figsize=(5 * len(rates), 3.2), squeeze=False)
    for axes, rate in zip(every[0], rates, strict=True):
        for one in result["latency"]:
            if one["rate"] == rate:
                longer = [1 - (place + 1) / 1000 for place in range(len(one["every"]))]
                axes.plot(
                    one["every"], longer, color=COLOURS[one["name"]], alpha=0.7, label=LABELS[one["name"]]
                )
        handles, labels = axes.get_legend_handles_labels()
        unique = dict(zip(labels, handles, strict=True))
        axes.legend(unique.values(), unique.keys(), frameon=False, fontsize=9)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("milliseconds from report to block")
        axes.set_ylabel("share that took longer")
        axes.set_title(f"{rate:,} reports a second, open loop")
        axes.grid(visible=True, which="both", alpha=0.2)
    return _drawn(figure)
