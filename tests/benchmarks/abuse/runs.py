"""All runs of the plan, in parallel over seeds."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from rich.console import Console
from rich.progress import track

from tests.benchmarks.abuse.assumptions import Assumptions
from tests.benchmarks.abuse.measures import Measures
from tests.benchmarks.abuse.plan import Spec, play, sections

MAIN = "headline"
"""The section that runs on every seed; the others take a quarter of them, because they compare within
themselves.
"""


def _part(seed: int, section: str, assumed: Assumptions) -> list[Measures]:
    return [play(seed, spec, assumed) for spec in sections()[section]]


def run_all(
    seeds: Sequence[int], assumed: Assumptions, jobs: int, console: Console
) -> Iterator[tuple[Spec, Measures]]:
    """Run every section, and yield each run with its measures in an order that depends on nothing else."""
    plan = sections()
    few = seeds[: max(1, len(seeds) // 4)]
    tasks = [(seed, name) for seed in seeds for name in plan if name == MAIN or seed in few]
    with ProcessPoolExecutor(jobs) as pool:
        futures = [pool.submit(_part, seed, name, assumed) for seed, name in tasks]
        for (_, name), future in zip(
            tasks, track(futures, "simulating", len(tasks), console=console), strict=True
        ):
            yield from zip(plan[name], future.result(), strict=True)
