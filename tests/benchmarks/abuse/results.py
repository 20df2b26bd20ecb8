"""The outcome of all runs, and the attackers' best response for each contender."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.benchmarks.abuse.attackers import Strategy
from tests.benchmarks.abuse.measures import Measures, half_width, total
from tests.benchmarks.abuse.plan import Spec

Value = Callable[[Measures], float]


@dataclass(frozen=True, slots=True)
class Response:
    """One contender under one strategy, over all seeds."""

    contender: str
    strategy: Strategy
    by_seed: Sequence[Measures]

    @property
    def sum(self) -> Measures:
        return total(self.by_seed)

    def within(self, value: Value) -> float:
        """Return half the width of the figure's 95 % interval over seeds."""
        return half_width(self.by_seed, value)


def by_blocks(one: Measures) -> tuple[float, float]:
    """What an attacker wants: images blocked, and that they stay so."""
    return one.per_1000, one.hours


def by_hours(one: Measures) -> tuple[float, float]:
    """What another attacker wants."""
    return one.hours, one.per_1000


class Results:
    """The measures of each run, by section, contender and strategy."""

    def __init__(self, runs: Iterable[tuple[Spec, Measures]]) -> None:
        found: dict[tuple[str, str], dict[Strategy, list[Measures]]] = defaultdict(lambda: defaultdict(list))
        for spec, measures in runs:
            found[spec.section, spec.contender.name][spec.strategy].append(measures)
        self._found = found

    def contenders(self, section: str) -> list[str]:
        """Return the contenders of a section, in the order of the plan."""
        return [name for part, name in self._found if part == section]

    def all(self, section: str, contender: str) -> list[Response]:
        """Return a contender under each strategy of its grid, in the order of the grid."""
        ways = self._found[section, contender]
        return [Response(contender, way, every) for way, every in ways.items()]

    def best(
        self, section: str, contender: str, wanted: Callable[[Measures], tuple[float, float]] = by_blocks
    ) -> Response:
        """Return the attackers' best response; of equal ones the first of the grid, which is the cheapest."""
        return max(self.all(section, contender), key=lambda one: wanted(one.sum))

    def cheapest(self, contender: str) -> Response | None:
        """Return the response with the fewest accounts a wrongful block, over crowds of one size each."""
        every = [one for one in self.all("accounts", contender) if one.sum.wrongful]
        return min(every, key=lambda one: one.sum.accounts_a_block or 0.0, default=None)
