"""The simulation by hand: many seeds, or one again with all that happened.

make simulate                                  a hundred seeds
make simulate ARGS="--seeds 10000 --jobs 2"
make simulate ARGS="--seed 17"                 once more, with its end
make simulate ARGS="--seed 17 --shrink"        the least that still fails
make simulate ARGS="--break lease-ignored"     how soon a broken service is found
"""

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from statistics import median
from time import monotonic

from tests.simulation.broken import BROKEN
from tests.simulation.plan import Plan, draw
from tests.simulation.shrink import shrink
from tests.simulation.simulation import Result, Simulation

ENOUGH = 25
"""Seeds in which a broken service is found before the summary."""


def run(seed: int, broken: str | None = None, plan: Plan | None = None) -> Result:
    """Run one seed, on the service or on a broken one; `plan` is another than its own."""
    site = Simulation(plan or draw(seed))
    if broken is not None:
        BROKEN[broken](site)
    return site.run()


def main() -> int:
    """Return the exit code: 1 if anything was found that should not be there."""
    options = _options()
    if options.seed is not None:
        return _replay(options.seed, options.broken, smaller=options.shrink)
    seeds = range(options.first, options.first + options.seeds)
    started, results = monotonic(), []
    for result in _results(seeds, options.jobs, options.broken):
        results.append(result)
        if result.violation and options.broken is None:
            _tell(result, None)
        if len(results) % 100 == 0 or len(results) == len(seeds):
            print(_summary(results, monotonic() - started), flush=True)
        if options.broken and sum(1 for one in results if one.violation) == ENOUGH:
            break
    if options.broken:
        return _tell_found(options.broken, results)
    return 1 if any(result.violation for result in results) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make simulate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--seed", type=int, help="this one alone, with the end of what happened")
    parser.add_argument("--shrink", action="store_true", help="with --seed: the least that still fails")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--break", dest="broken", choices=sorted(BROKEN), help="break the service on purpose")
    return parser.parse_args()


def _results(seeds: range, jobs: int, broken: str | None) -> Iterator[Result]:
    if jobs == 1:
        yield from map(partial(run, broken=broken), seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(partial(run, broken=broken), seeds, chunksize=10)


def _replay(seed: int, broken: str | None, *, smaller: bool) -> int:
    plan, result = draw(seed), run(seed, broken)
    if result.violation and smaller:
        plan = shrink(plan, lambda one: bool(run(seed, broken, one).violation))
        result = run(seed, broken, plan)
    print(plan)
    if result.violation:
        _tell(result, broken)
        return 1
    print(_summary([result], 0.0), f"digest {result.digest}")
    return 0


def _tell(result: Result, broken: str | None) -> None:
    print("\n".join(result.tail))
    print(f"seed {result.seed}, after {_time(result.virtual)}: {result.violation}")
    again = f"--seed {result.seed}" + (f" --break {broken}" if broken else "")
    print(f'once more: make simulate ARGS="{again}"', flush=True)


def _summary(results: list[Result], wall: float) -> str:
    found = [result.seed for result in results if result.violation]
    counted = ", ".join(
        f"{sum(getattr(one, name) for one in results):,} {name}"
        for name in ("steps", "messages", "decisions", "kills")
    )
    return (
        f"{len(results)} seeds to {results[-1].seed}: {_time(sum(one.virtual for one in results))} "
        f"({_time(sum(one.busy for one in results))} of them busy), {counted}, {wall:.0f} s; "
        f"found: {found or 'nothing'}"
    )


def _tell_found(broken: str, results: list[Result]) -> int:
    """Say how soon a broken service was found: seeds in a row, and the time until then."""
    hits = [result for result in results if result.violation]
    if not hits:
        print(f"{broken}: not found in {len(results)} seeds")
        return 1
    waits, busy = [0.0], [0.0]
    for result in results:
        waits[-1] += result.virtual
        busy[-1] += result.busy
        if result.violation:
            waits.append(0.0)
            busy.append(0.0)
    print(
        f"{broken}: found in {len(hits)} of {len(results)} seeds; until found "
        f"{median(waits[:-1]) / 3600:.2f} hours (median; {max(waits[:-1]) / 3600:.1f} at most), "
        f"{median(busy[:-1]) / 3600:.3f} of them busy ({max(busy[:-1]) / 3600:.2f} at most)\n"
        f"the first: seed {hits[0].seed}: {hits[0].violation}"
    )
    return 0


def _time(seconds: float) -> str:
    return f"{seconds / 86400:,.1f} days" if seconds > 86400 else f"{seconds / 3600:.2f} hours"


if __name__ == "__main__":
    sys.exit(main())
