"""What a run is measured by. Counts add up over seeds; shares are taken of the sums."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from statistics import mean, quantiles, stdev
from typing import Any, Self

from tests.benchmarks.abuse.simulation import Run
from tests.benchmarks.abuse.world import DAY, HOUR, World


@dataclass(slots=True)
class Measures:
    """Counts of one run, or of several."""

    attacked: int = 0
    """Benign images that crowds aimed at, by small crowds and brigades."""
    attacked_by_brigades: int = 0
    wrongful: int = 0
    """Of them, those that were blocked at least once, whoever decided it."""
    wrongful_by_brigades: int = 0
    wrongful_by_error: int = 0
    """Of them, those that a moderator upheld by mistake."""
    wrongful_hours: float = 0.0
    """For which they were blocked; of one block at most `harm_days`."""
    spent: int = 0
    """Accounts that reported them."""
    unattacked: int = 0
    """Other benign images."""
    unattacked_blocked: int = 0
    violating: int = 0
    violating_blocked: int = 0
    violating_reported: int = 0
    urgent: int = 0
    urgent_blocked: int = 0
    minutes_to_block: list[int] = field(default_factory=list)
    """Of violating images, from the first report of an honest person."""
    reports: int = 0
    reviewed: int = 0
    reviewed_at_first: int = 0
    days_at_first: float = 0.0
    """Days over which images were uploaded."""
    greatest_queue: int = 0

    def __add__(self, other: Self) -> Self:
        sums: dict[str, Any] = {
            one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)
        }
        sums["greatest_queue"] = max(self.greatest_queue, other.greatest_queue)
        return type(self)(**sums)

    @property
    def per_1000(self) -> float:
        """Wrongful blocks of 1,000 attacked benign images."""
        return 1_000 * self.wrongful / max(1, self.attacked)

    @property
    def hours(self) -> float:
        """Hours that an attacked benign image was blocked, in the mean of all attacked ones."""
        return self.wrongful_hours / max(1, self.attacked)

    @property
    def recall(self) -> float:
        """The share of the violating images that were blocked."""
        return self.violating_blocked / max(1, self.violating)

    @property
    def reviews_a_day(self) -> float:
        """While images were uploaded."""
        return self.reviewed_at_first / max(1.0, self.days_at_first)

    @property
    def accounts_a_block(self) -> float | None:
        """Accounts that the attackers spent for each wrongful block; None without one."""
        return self.spent / self.wrongful if self.wrongful else None

    def hours_to_block(self, hundredth: int) -> float | None:
        """Return a percentile of the hours from first report to block; None for fewer than two blocks."""
        if len(self.minutes_to_block) < 2:
            return None
        return quantiles(self.minutes_to_block, n=100, method="inclusive")[hundredth - 1] / 60

    def shown(self) -> dict[str, Any]:
        """Return all figures, for the JSON file."""
        counts = asdict(self)
        del counts["minutes_to_block"]
        return counts | {
            "wrongful_per_1000_attacked": round(self.per_1000, 1),
            "wrongful_hours_an_attacked_image": round(self.hours, 2),
            "recall": round(self.recall, 4),
            "hours_to_block_p50": self.hours_to_block(50),
            "hours_to_block_p90": self.hours_to_block(90),
            "reviews_a_day": round(self.reviews_a_day, 2),
            "accounts_a_wrongful_block": self.accounts_a_block,
        }


def measure(world: World, run: Run) -> Measures:
    """Return the measures of one run."""
    found = Measures(
        reports=run.reports,
        reviewed=run.reviewed,
        reviewed_at_first=run.reviewed_at_first,
        days_at_first=world.assumed.upload_days,
        greatest_queue=run.greatest_queue,
    )
    brigades = {attack.image: attack.brigade for attack in world.attacks}
    most = world.assumed.harm_days * DAY
    for image in world.images.values():
        blocks = run.blocked.get(image.id, ())
        if image.violating:
            found.violating += 1
            found.urgent += image.urgent
            found.violating_reported += image.id in run.first_report
            if blocks:
                found.violating_blocked += 1
                found.urgent_blocked += image.urgent
                first = run.first_report.get(image.id)
                if first is not None:
                    found.minutes_to_block.append((blocks[0][0] - first) // 60_000)
        elif (brigade := brigades.get(image.id)) is not None:
            found.attacked += 1
            found.attacked_by_brigades += brigade
            found.spent += run.spent[image.id]
            if blocks:
                found.wrongful += 1
                found.wrongful_by_brigades += brigade
                found.wrongful_by_error += image.id in run.wrongly_upheld
                found.wrongful_hours += sum(min(until - since, most) for since, until in blocks) / HOUR
        else:
            found.unattacked += 1
            found.unattacked_blocked += bool(blocks)
    return found


def total(every: Sequence[Measures]) -> Measures:
    """Return the sum."""
    return sum(every, Measures())


def half_width(every: Sequence[Measures], value: Callable[[Measures], float]) -> float:
    """Return half of the 95 % interval of a figure's mean over seeds (normal approximation)."""
    values = [value(one) for one in every]
    return 1.96 * stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0


def mean_of(every: Sequence[Measures], value: Callable[[Measures], float]) -> float:
    """Return a figure's mean over seeds."""
    return mean(value(one) for one in every)
