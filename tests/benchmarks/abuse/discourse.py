"""Discourse's published flag score, for comparison; its facts, not its code. Sources:
`assumptions.DISCOURSE`.

- A flag scores 1 + trust level + accuracy bonus, at least 0. Only accounts of trust level 1 and up can flag.
- The bonus is 0 up to 5 handled flags. Beyond, with n of them and a share p of agreed ones, it is
  5 log4(n) (p - 0.7) / 0.3 from p = 0.7 on, and 5 log4(n) (p - 0.7) / 0.7 below.
- A post is hidden at the sum of 2/3 of the "high" priority (the default sensitivity, medium), cut to two
  decimals. That priority is 12.5 at first. Once 15 reviews have agreed it is, each day, the 85th percentile
  (discrete) of the scores of agreed posts with at least two flags. Here that is a variant of its own
  (`adapts`), because in a world where a hidden post gets no further flags it falls and falls.
- All flagged posts stand in the queue, the highest score first. "Agree" hides; "disagree" shows again and
  takes the score of those flags away. For 24 hours after a review no new flag of that kind is taken.

Left out: limits of flags a day, staff's own flags, and that a post flagged as spam by an account of trust
level 3 is hidden at once where its author is new.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from image_moderation.domain.decision import Action
from image_moderation.domain.report import Report, Review, Verdict
from tests.benchmarks.abuse.contestants import Taken
from tests.benchmarks.abuse.world import DAY, Person

FIRST_HIGH = 12.5
AGREED_NEEDED = 15
PERCENTILE = 0.85
MEDIUM_OF_HIGH = 6 / 9
REFLAG_COOLDOWN = DAY


@dataclass(slots=True)
class _Post:
    pending: dict[str, float] = field(default_factory=dict)
    agreed: dict[str, float] = field(default_factory=dict)
    hidden: bool = False
    handled: int | None = None
    upheld: bool = False
    revision: int = 0

    @property
    def score(self) -> float:
        return sum(self.pending.values()) + sum(self.agreed.values())


def accuracy_bonus(agreed: int, disagreed: int) -> float:
    """Return what an account's handled flags add to the score of its next one."""
    total = agreed + disagreed
    if total <= 5:
        return 0.0
    above = agreed / total - 0.7
    return round(above / (0.3 if above >= 0 else 0.7) * math.log(total, 4) * 5, 2)


class FlagScore:
    """See `contestants.Contestant`."""

    moderated = True

    def __init__(self, *, adapts: bool = False) -> None:
        """With `adapts` the "high" priority follows the site's own scores; else it stays as a new site has
        it.
        """
        self._adapts = adapts
        self._posts: dict[str, _Post] = {}
        self._handled: dict[str, tuple[int, int]] = {}
        """By account: its agreed and its disagreed flags."""
        self._high = FIRST_HIGH
        self._next_day: int | None = None

    @property
    def needed(self) -> float:
        """The score that hides."""
        return math.floor(self._high * MEDIUM_OF_HIGH * 100) / 100

    async def report(self, report: Report, sender: Person) -> Sequence[Taken]:
        """See `Contestant`."""
        post, who, now = self._posts.setdefault(report.image_id, _Post()), report.reporter_id, report.arrived
        if self._adapts and self._next_day is None:
            self._next_day = now + DAY
        if sender.trust < 1 or who in post.pending or who in post.agreed:
            return ()
        if post.handled is not None and now < post.handled + REFLAG_COOLDOWN:
            return ()
        self._handled.setdefault(who, (sender.agreed, 0))
        post.pending[who] = max(0.0, 1.0 + sender.trust + accuracy_bonus(*self._handled[who]))
        if post.hidden or post.score < self.needed:
            return ()
        return [self._turn(report.image_id, post, Action.BLOCK, "threshold", now)]

    async def review(self, review: Review) -> Sequence[Taken]:
        """See `Contestant`."""
        post = self._posts.setdefault(review.image_id, _Post())
        upheld = review.verdict is Verdict.UPHELD
        for who in post.pending:
            agreed, disagreed = self._handled[who]
            self._handled[who] = (agreed + upheld, disagreed + (not upheld))
        if upheld:
            post.agreed |= post.pending
        post.pending, post.handled, post.upheld = {}, review.arrived, upheld
        if upheld == post.hidden:
            return ()
        action = Action.BLOCK if upheld else Action.UNBLOCK
        return [self._turn(review.image_id, post, action, "moderator", review.arrived)]

    def _turn(self, image: str, post: _Post, action: Action, trigger: str, now: int) -> Taken:
        post.hidden = action is Action.BLOCK
        post.revision += 1
        return Taken(image, action, trigger, post.revision, now)

    async def look(self, now: int) -> Sequence[Taken]:
        """See `Contestant`: each day the priorities are computed anew."""
        self._next_day = now + DAY
        agreed = [post for post in self._posts.values() if post.upheld]
        if len(agreed) >= AGREED_NEEDED:
            scores = sorted(post.score for post in agreed if len(post.agreed) + len(post.pending) >= 2)
            # Without any, the percentile counts as 0 there, and a single flag would hide.
            self._high = scores[math.ceil(PERCENTILE * len(scores)) - 1] if scores else 0.0
        return ()

    def next_look(self) -> int | None:
        """See `Contestant`."""
        return self._next_day

    def priority(self, image: str) -> float | None:
        """See `Contestant`."""
        post = self._posts[image]
        return post.score if post.pending else None
