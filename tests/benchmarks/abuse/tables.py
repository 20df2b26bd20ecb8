"""The result as tables of text: a title, a note, and rows with a head. The terminal and the page show the
same.
"""

from collections.abc import Sequence
from typing import NamedTuple

from tests.benchmarks.abuse import assumptions
from tests.benchmarks.abuse.calibration import REPORTS_AN_ITEM, VIOLATING
from tests.benchmarks.abuse.measures import Measures
from tests.benchmarks.abuse.plan import HEADLINE
from tests.benchmarks.abuse.results import Response, Results, by_hours


class Table(NamedTuple):
    """One table."""

    title: str
    note: str
    rows: list[list[str]]
    """The first is the head."""

    @property
    def markdown(self) -> str:
        """The rows as Markdown, for docs/policy.md."""
        head, *rows = (f"| {' | '.join(row)} |" for row in self.rows)
        return "\n".join([head, "| --- " * len(self.rows[0]) + "|", *rows, ""])


def calibration(figures: Sequence[tuple[float, float]]) -> Table:
    """How close the population comes to what is published."""
    items = sum(figure for figure, _ in figures) / len(figures)
    share = sum(figure for _, figure in figures) / len(figures)
    return Table(
        "The population and the published figures",
        assumptions.TIKTOK,
        [
            ["", "published", "here", "off by"],
            _close("reports a reported item", REPORTS_AN_ITEM, items, "{:.2f}"),
            _close("reported items that violate", VIOLATING, share, "{:.1%}"),
        ],
    )


def _close(name: str, published: float, here: float, form: str) -> list[str]:
    return [name, form.format(published), form.format(here), f"{here / published - 1:+.1%}"]


def headline(results: Results) -> Table:
    """Each policy against the attackers' best response to it."""
    rows = [
        [
            "policy", "wrongful per 1,000", "hours", "recall", "hours to block p50 / p90", "reviews a day",
            "greatest queue", "accounts a wrongful block", "other benign per 1,000", "best response",
        ]
    ]  # fmt: skip
    for name in results.contenders("headline"):
        best, longest = results.best("headline", name), results.best("headline", name, by_hours)
        cheapest, one = results.cheapest(name), best.sum
        rows.append(
            [
                name,
                f"{one.per_1000:.0f} ± {best.within(lambda m: m.per_1000):.0f}",
                f"{longest.sum.hours:.1f} ± {longest.within(lambda m: m.hours):.1f}",
                f"{one.recall:.3f} ± {best.within(lambda m: m.recall):.3f}",
                f"{_hours(one, 50)} / {_hours(one, 90)}",
                f"{one.reviews_a_day:.1f}",
                str(one.greatest_queue),
                _cost(cheapest),
                f"{1_000 * one.unattacked_blocked / max(1, one.unattacked):.1f}",
                best.strategy.text,
            ]
        )
    return Table(
        "Each policy against the attackers' best response to it",
        "Wrongful: benign images of 1,000 attacked ones that were blocked, under the strategy that blocks "
        "most; ± is the 95 % interval over seeds. Hours: how long an attacked benign image was blocked, in "
        "the mean of all attacked, of one block at most 14 days, under the strategy that blocks longest. "
        "Recall: the share of all violating images that were blocked. Hours to block: from the first honest "
        "report. Reviews a day: while images were uploaded. Accounts: with crowds of the size that is "
        "cheapest. Other benign: blocked though nobody attacked.",
        rows,
    )


def _hours(one: Measures, hundredth: int) -> str:
    hours = one.hours_to_block(hundredth)
    return "-" if hours is None else f"{hours:.0f}"


def _cost(cheapest: Response | None) -> str:
    if cheapest is None:
        return "-"
    return f"{cheapest.sum.accounts_a_block:.1f} (crowds of {cheapest.strategy.accounts})"


def kinds(results: Results) -> Table:
    """Attackers who don't adapt to the policy, kind by kind."""
    rows = [["policy", "burst", "brigade", "slow drip", "returning farmer"]]
    for name in results.contenders("headline"):
        ways = {one.strategy.text: one.sum for one in results.all("headline", name)}
        returning = "within 6 h, returns after 31 d"
        brigade = ways["within 6 h"]
        rows.append(
            [
                name,
                _small(ways["within 10 min"]),
                _per_1000(brigade.wrongful_by_brigades, brigade.attacked_by_brigades),
                _small(ways["within 25 d"]),
                _small(ways.get(f"{returning}, farmed", ways[returning])),
            ]
        )
    return Table(
        "Wrongful blocks per 1,000 by kind of attack",
        "Bursts: 2-20 accounts within 10 minutes. Brigades: 15-60 within 6 hours. Slow drips: 2-20 over 25 "
        "days. Farmers: 2-20 trusted accounts within 6 hours, again 31 days after a clear.",
        rows,
    )


def _small(one: Measures) -> str:
    return _per_1000(one.wrongful - one.wrongful_by_brigades, one.attacked - one.attacked_by_brigades)


def _per_1000(part: int, whole: int) -> str:
    return f"{1_000 * part / whole:.0f}" if whole else "-"


SIMPLE = [
    "",
    "wrongful per 1,000",
    "by a moderator's error",
    "hours",
    "recall",
    "urgent recall",
    "hours to block p50",
    "reviews a day",
    "other benign per 1,000",
    "best response",
]


def simple(results: Results, section: str, title: str, note: str) -> Table:
    """The main figures of each contender of a section."""
    rows = [SIMPLE]
    for name in results.contenders(section):
        best, longest = results.best(section, name), results.best(section, name, by_hours)
        one = best.sum
        rows.append(
            [
                name,
                f"{one.per_1000:.0f}",
                _per_1000(one.wrongful_by_error, one.attacked),
                f"{longest.sum.hours:.1f}",
                f"{one.recall:.3f}",
                f"{one.urgent_blocked / max(1, one.urgent):.2f}",
                _hours(one, 50),
                f"{one.reviews_a_day:.1f}",
                f"{1_000 * one.unattacked_blocked / max(1, one.unattacked):.1f}",
                best.strategy.text,
            ]
        )
    return Table(title, note, rows)


def accounts(results: Results) -> Table:
    """Wrongful blocks by the size of the crowd."""
    sizes = sorted({one.strategy.accounts for one in results.all("accounts", HEADLINE[0].name)})
    rows = [["policy", *(str(size) for size in sizes)]]
    rows += [
        [name, *(f"{by_size(results, name, size):.0f}" for size in sizes)]
        for name in results.contenders("accounts")
    ]
    return Table(
        "Wrongful blocks per 1,000 by accounts of each crowd",
        "Each crowd has exactly so many accounts, and reports within 10 minutes or within 3 days, whichever "
        "does more harm; with Discourse's score also with farmed accounts.",
        rows,
    )


def by_size(results: Results, name: str, size: int) -> float:
    """Return the wrongful blocks per 1,000 by crowds of one size, at the worse of their strategies."""
    every = results.all("accounts", name)
    return max(one.sum.per_1000 for one in every if one.strategy.accounts == size)


FLOODED = (
    "Against fast, slow and returning attackers. Queue flooded: one more crowd of 16 accounts reports 60 "
    "benign images within an hour of each day. Adapting: see discourse.py."
)
POPULATIONS = (
    "The most seen image has 30, 100 or 1,000 times the views of the least seen one; each population is "
    "solved for the published figures."
)
CHANGED = "Against fast, slow and returning attackers; changed from the default or the moderated profile."
NOTES = {
    "signal": ("What one more signal changes", "The share of each crowd that the site knows as one group."),
    "failures": ("Where each fails", FLOODED),
    "options": ("Each option alone", CHANGED),
    "populations": ("Other populations", POPULATIONS),
}


def tables(results: Results, figures: Sequence[tuple[float, float]]) -> list[Table]:
    """Return all tables of the result."""
    found = [calibration(figures), headline(results), kinds(results), accounts(results)]
    return found + [simple(results, section, title, note) for section, (title, note) in NOTES.items()]
