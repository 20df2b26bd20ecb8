"""Runs the simulation over seeds, prints the tables, and writes JSON and a page with plots.

`python -m tests.benchmarks.abuse` exits with 1 if the real script decided anything else than the in-memory
store.
"""

import json
import os
import platform
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table as Shown

from tests.benchmarks.abuse import real_script
from tests.benchmarks.abuse.assumptions import Assumptions
from tests.benchmarks.abuse.attackers import Strategy
from tests.benchmarks.abuse.calibration import figures
from tests.benchmarks.abuse.contestants import PROFILES
from tests.benchmarks.abuse.plan import sections, world_of
from tests.benchmarks.abuse.results import Results
from tests.benchmarks.abuse.runs import run_all
from tests.benchmarks.abuse.tables import Table, tables

OUT = Path("build") / "bench-abuse"
console = Console(width=None if sys.stdout.isatty() else 240)


def parse_seeds(text: str) -> list[int]:
    """Return the seeds of `301-312`, or of `1,5,9`.

    Raises:
        typer.BadParameter: the text is neither.
    """
    try:
        first, dash, last = text.partition("-")
        return list(range(int(first), int(last) + 1)) if dash else [int(seed) for seed in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a range like 301-312 nor a list like 1,5,9") from None


def check_real(seed: int, assumed: Assumptions, results: Results) -> tuple[list[dict[str, Any]], bool]:
    """Compare the real script's decisions with those of the in-memory store, at each profile's best
    response.
    """
    rows, same = [], True
    for name, settings in PROFILES.items():
        strategy: Strategy = results.best("headline", name).strategy
        started = time.perf_counter()
        found = real_script.compare(world_of(seed, assumed), settings, strategy)
        same &= found.same
        console.print(
            f"real script, {name}, seed {seed}: {found.decisions:,} decisions, "
            + ("the same as in memory" if found.same else "[red]not the same[/red]")
            + f" ({time.perf_counter() - started:.0f} s)"
        )
        for one in (*found.only_in_memory[:5], *found.only_in_redis[:5]):
            console.print("  differs:", one)
        rows.append({"profile": name, "seed": seed, "decisions": found.decisions, "same": found.same})
    return rows, same


def show(table: Table) -> None:
    """Print a table."""
    console.print(f"\n[bold]{table.title}[/bold]\n{table.note}")
    shown = Shown(box=None, pad_edge=False)
    for place, head in enumerate(table.rows[0]):
        shown.add_column(head, justify="left" if place in (0, len(table.rows[0]) - 1) else "right")
    for row in table.rows[1:]:
        shown.add_row(*row)
    console.print(shown)


def as_json(results: Results) -> list[dict[str, Any]]:
    """Return every response of every section."""
    return [
        {
            "section": section,
            "contender": name,
            "strategy": asdict(one.strategy) | {"text": one.strategy.text},
            "seeds": len(one.by_seed),
            **one.sum.shown(),
        }
        for section in sections()
        for name in results.contenders(section)
        for one in results.all(section, name)
    ]


def main(
    seeds: Annotated[str, typer.Option(help="301-312, or 1,5,9.")] = "301-312",
    images: Annotated[int, typer.Option(min=1_000, help="Images; attacks in proportion.")] = 40_000,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
    real: Annotated[bool, typer.Option(help="Check the real script on the first seed.")] = True,
    out: Annotated[Path, typer.Option(help="Where the result goes.")] = OUT,
) -> None:
    """Simulate a site under attack, and print what each policy does for it."""
    chosen = parse_seeds(seeds)
    usual = Assumptions()
    assumed = replace(usual, images=images, attacks=max(10, usual.attacks * images // usual.images))
    started = time.perf_counter()
    results = Results(run_all(chosen, assumed, jobs, console))
    checked, same = check_real(chosen[0], assumed, results) if real else ([], True)
    every = tables(results, [figures(world_of(seed, assumed)) for seed in chosen])
    for table in every:
        show(table)
    seconds = time.perf_counter() - started
    about = (
        f"Seeds {seeds}, {images:,} images each; {seconds:.0f} s on {jobs} processes; "
        f"Python {platform.python_version()}. Real script: "
        + ("the same decisions." if checked and same else "differs!" if checked else "not checked.")
    )
    out.mkdir(parents=True, exist_ok=True)
    result = {
        "about": about,
        "assumptions": asdict(assumed),
        "real_script": checked,
        "runs": as_json(results),
    }
    (out / "result.json").write_text(json.dumps(result, indent=1))
    (out / "tables.md").write_text(
        "\n".join(f"## {table.title}\n\n{table.note}\n\n{table.markdown}" for table in every)
    )
    from tests.benchmarks.abuse import page  # matplotlib takes a second to import, in each process

    (out / "index.html").write_text(page.render(about, every, results))
    for name, drawn in page.plots(results).items():
        (out / f"{name}.svg").write_bytes(drawn)
    console.print(
        f"\n{about}\n{out / 'index.html'} has the same with plots, {out / 'result.json'} all figures."
    )
    if not same:
        print("the real script decided something else than the in-memory store", file=sys.stderr)
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
