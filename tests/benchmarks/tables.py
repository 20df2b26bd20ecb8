"""The result of the benchmark as tables: rows of text, the first of them the head."""

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

NAMES = {"naive": "plain handler", "service": "the service", "node": "Node.js", "ceiling": "redis-cli --pipe"}
Rows = list[list[str]]


def of(result: dict[str, Any]) -> list[tuple[str, Rows]]:
    """Return the title and the rows of each part that was measured."""
    found: list[tuple[str, Rows]] = []
    for stream in result.get("throughput", []):
        found.append(
            (
                f"{stream['stream']} stream, {stream['reports']:,} reports, {stream['server']}",
                _throughput(stream),
            )
        )
        found.append((f"ratios of reports a second, {stream['stream']}", list(_ratios(stream))))
    if "latency" in result:
        found.append(("from report to block, open loop, milliseconds", _latency(result["latency"])))
    for part, head in (("durability", "appendfsync"), ("processes", "processes")):
        if part in result:
            found.append((part, _runs(head, result[part])))
    if "memory" in result:
        found.append(("bytes of Redis an image", _memory(result["memory"])))
    if "cases" in result:
        found.append(("the server's CPU time a report", _cases(result["cases"])))
    if "start" in result:
        found.append(("seconds to start", _start(result["start"])))
    return found


def ratio(stream: dict[str, Any], over: str, under: str) -> tuple[float, float, float]:
    """Return the median, the least and the most of the ratios of reports a second, one for each round."""
    runs = stream["runs"]
    every = [
        one["reports_per_second"] / other["reports_per_second"]
        for one, other in zip(runs[over], runs[under], strict=True)
    ]
    return statistics.median(every), min(every), max(every)


def _throughput(stream: dict[str, Any]) -> Rows:
    rows = [["median of rounds", "reports/s", "client us", "server us", "most client MB"]]
    for name, run in stream["medians"].items():
        rows.append(
            [
                NAMES[name],
                f"{run['reports_per_second']:,.0f}",
                _number(run["client_us_per_report"], name),
                f"{run['server_us_per_report']:.1f}",
                _number(run["most_client_megabytes"], name),
            ]
        )
    return rows


def _number(value: float, name: str) -> str:
    return "" if name == "ceiling" else f"{value:.1f}"


def _ratios(stream: dict[str, Any]) -> Iterator[list[str]]:
    yield ["", "median", "least", "most"]
    for under in ("naive", "node", "ceiling"):
        if under in stream["runs"]:
            yield [
                f"the service / {NAMES[under]}",
                *(f"{value:.2f}" for value in ratio(stream, "service", under)),
            ]


def _latency(runs: Sequence[dict[str, Any]]) -> Rows:
    grouped: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        grouped[run["rate"], run["name"]].append(run)
    rows = [["median of rounds", "p50", "p99", "least p99", "most p99"]]
    for (rate, name), found in sorted(grouped.items()):
        p99 = [run["p99"] for run in found]
        middle = statistics.median(run["p50"] for run in found)
        values = (middle, statistics.median(p99), min(p99), max(p99))
        rows.append([f"{NAMES[name]} at {rate:,}/s", *(f"{value:.2f}" for value in values)])
    return rows


def _runs(head: str, runs: dict[str, list[dict[str, float]]]) -> Rows:
    rows = [[head, "reports/s", "least", "most", "client us", "server us"]]
    for name, found in runs.items():
        rates = [run["reports_per_second"] for run in found]
        cpu = [
            f"{statistics.median(run[side] for run in found):.1f}"
            for side in ("client_us_per_report", "server_us_per_report")
        ]
        rows.append(
            [name, *(f"{value:,.0f}" for value in (statistics.median(rates), min(rates), max(rates))), *cpu]
        )
    return rows


def _memory(images: Sequence[dict[str, float]]) -> Rows:
    rows = [["reporters", "the service", "a SET of raw ids", "ratio"]]
    for one in images:
        ours, plain = one["service"], one["plain"]
        rows.append([f"{one['reporters']}", f"{ours:.0f}", f"{plain:.0f}", f"{ours / plain:.2f}"])
    return rows


def _cases(cases: dict[str, list[float]]) -> Rows:
    few = next(iter(cases.values()))
    rows = [["cases", "us: median", "against the first: median", "least", "most"]]
    for name, many in cases.items():
        ratios = [one / other for one, other in zip(many, few, strict=True)]
        spread = (statistics.median(ratios), min(ratios), max(ratios))
        rows.append(
            [f"{int(name):,}", f"{statistics.median(many):.2f}", *(f"{value:.2f}" for value in spread)]
        )
    return rows


def _start(start: dict[str, list[float]]) -> Rows:
    names = {"ready": "serve, until ready", "version": "--version", "python": "python -c pass"}
    rows = [["", "median", "least", "most"]]
    for name, label in names.items():
        values = start[name]
        rows.append(
            [label, *(f"{value:.2f}" for value in (statistics.median(values), min(values), max(values)))]
        )
    return rows
