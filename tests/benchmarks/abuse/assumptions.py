"""Everything that the simulation assumes, each with its unit and its source.

Most of it is assumed, because sites publish little. What is published holds the rest: the mean number of
reports and the share of violating images among the reported ones, for which `per_violating` and `per_benign`
are solved (`calibration.py` measures how close a world comes).
"""

from dataclasses import Field, dataclass, field, fields
from typing import Any

TIKTOK = (
    "TikTok, first report under the EU's Digital Services Act, September 2023: more than 35,000 reports of "
    "about 24,000 items, 16.3 % of them violating; acted on after a median of 13 h "
    "(newsroom.tiktok.com/en-ie/dsa-bringing-additional-transparency-to-content-moderation-in-europe)"
)
DISCOURSE = (
    "github.com/discourse/discourse: app/models/reviewable.rb (001f0c8), app/models/reviewable_score.rb "
    "(083e339), app/jobs/scheduled/reviewable_priorities.rb and lib/post_action_creator.rb (09a2823), "
    "config/site_settings.yml (00011e9)"
)
GIVEN = "assumed, and fixed before the first run"


def _known(value: Any, unit: str, source: str = "assumed") -> Any:
    return field(default=value, metadata={"unit": unit, "source": source})


@dataclass(frozen=True, slots=True)
class Assumptions:
    """One population, its attackers and its moderators. The defaults are those of the published tables."""

    # The images
    images: int = _known(40_000, "images", GIVEN)
    violating: float = _known(0.03, "share of the images", GIVEN)
    upload_days: float = _known(30.0, "days, over which they are uploaded evenly")
    days: float = _known(90.0, "days that are simulated; long enough to return after 30 days of immunity")
    views_shape: float = _known(1.2, "exponent of the Pareto distribution of views")
    views_spread: float = _known(
        100.0,
        "views of the most seen image / of the least seen one",
        "assumed; not fixed by what is published. With it a plain count of 5 finds about a third of what "
        "violates; the table of other populations shows how much depends on it",
    )
    view_age: float = _known(72.0, "hours, mean age of an image when it is seen (exponential)")
    per_violating: float = _known(
        1.66, "reports of the least seen violating image", "solved for the published figures; " + TIKTOK
    )
    per_benign: float = _known(0.0525, "reports of the least seen benign image", "solved with it")
    # The honest reporters
    people: int = _known(20_000, "people who ever report")
    activity: float = _known(1.2, "standard deviation of the log of a person's activity")
    carelessness: float = _known(1.0, "standard deviation of the log of a person's tendency to wrong reports")
    shared: float = _known(0.25, "share of the people behind a shared network, which is their group")
    networks: int = _known(200, "shared networks, of sizes in proportion to 1/rank")
    trust: tuple[float, ...] = _known(
        (0.6, 0.3, 0.1), "share of the reporters of trust level 1, 2, 3 (Discourse)"
    )
    urgent: float = _known(0.05, "share of the violating images that an urgent reason fits")
    urgent_named: float = _known(0.7, "share of the reports of such an image that name the urgent reason")
    urgent_wrong: float = _known(0.005, "share of the reports of any other image that name it")
    # The attackers
    attacks: int = _known(200, "benign images attacked, each by a crowd of its own")
    few: tuple[int, int] = _known((2, 20), "fake accounts of a small crowd, evenly", GIVEN)
    many: tuple[int, int] = _known((15, 60), "fake accounts of a brigade, evenly", GIVEN)
    brigades: float = _known(0.1, "share of the attacks that are brigades")
    linked: float = _known(
        0.5, "share of the fake accounts whose common device or network the site knows (one group an attack)"
    )
    waves: int = _known(3, "attacks on one image at most, the first included")
    farmed_reports: int = _known(8, "right reports of a farmed account, all handled before the record begins")
    # The moderators
    reviews_a_day: float = _known(30.0, "reviews a day of the whole team", GIVEN)
    hours_a_day: float = _known(
        24.0, "hours a day in which the team works; its reviews are spread over them evenly"
    )
    least_delay: float = _known(2.0, "hours from asking to the earliest answer", GIVEN)
    more_delay: float = _known(1.0, "hours, mean of what is added to it (exponential), besides the queue")
    error: float = _known(0.03, "share of the verdicts that are wrong", GIVEN)
    # The measures
    harm_days: float = _known(
        14.0, "days of a wrongful block that count: by then 99 % of an image's views are over, see view_age"
    )


def table() -> list[tuple[str, str, str, str]]:
    """Return name, value, unit and source of each assumption."""
    defaults = Assumptions()
    every: tuple[Field[Any], ...] = fields(Assumptions)
    return [
        (one.name, str(getattr(defaults, one.name)), one.metadata["unit"], one.metadata["source"])
        for one in every
    ]
