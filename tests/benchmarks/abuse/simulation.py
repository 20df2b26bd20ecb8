"""One run: a world, a policy and a way to attack, event by event in the order of time."""

import heapq
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from image_moderation.domain.decision import Action
from image_moderation.domain.report import Report, Review, Verdict
from tests.benchmarks.abuse.attackers import Crowd, Decoy, Strategy
from tests.benchmarks.abuse.contestants import Contestant, Taken
from tests.benchmarks.abuse.moderators import Team
from tests.benchmarks.abuse.world import BASE, DAY, URGENT, Person, Seen, World

BLAMED = "nudity"
"""The reason that fake reports name, unless they name the urgent one."""


@dataclass(slots=True)
class Run:
    """The outcome of one simulation."""

    taken: list[Taken] = field(default_factory=list)
    blocked: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """By image: from when to when it was blocked, in milliseconds."""
    wrongly_upheld: set[str] = field(default_factory=set)
    """Benign images that a moderator upheld."""
    first_report: dict[str, int] = field(default_factory=dict)
    """By image: the first report of an honest person."""
    reports: int = 0
    """Reports of honest people that were sent."""
    spent: dict[str, int] = field(default_factory=dict)
    """By attacked image: the accounts that reported it."""
    asked: int = 0
    reviewed: int = 0
    reviewed_at_first: int = 0
    """While images were uploaded."""
    greatest_queue: int = 0


class Simulation:
    """Runs once."""

    def __init__(
        self,
        world: World,
        contestant: Contestant,
        strategy: Strategy,
        *,
        least: int = 1,
        decoys: Sequence[Decoy] = (),
    ) -> None:
        """Images with fewer reports than `least`, which can't lead to a decision, are left out."""
        self._world, self._contestant, self._decoys = world, contestant, decoys
        self._team = Team(world)
        self._order = count()
        self._events: list[tuple[int, int, Callable[[int], Awaitable[None]]]] = []
        self._blocked_since: dict[str, int] = {}
        self._run = Run()
        self._crowds = {attack.image: Crowd(world, attack, strategy) for attack in world.attacks}
        self._fill(least)

    def _fill(self, least: int) -> None:
        number = Counter(seen.image for seen in self._world.seen)
        matter = {image for image, reports in number.items() if reports >= least}
        matter |= {fake.image for fake in self._decoys} | set(self._crowds)
        for seen in self._world.seen:
            if seen.image in matter:
                self._plan(seen.at, partial(self._honest, seen))
            else:
                self._run.reports += 1
                self._run.first_report.setdefault(seen.image, seen.at)
        for fake in self._decoys:
            self._plan(fake.at, partial(self._decoy, fake))
        for crowd in self._crowds.values():
            self._plan(crowd.attack.start, partial(self._wave, crowd))
        if self._contestant.moderated:
            for at in self._team.moments():
                self._plan(at, self._review)

    def _plan(self, at: int, happens: Callable[[int], Awaitable[None]]) -> None:
        heapq.heappush(self._events, (at, next(self._order), happens))

    async def play(self) -> Run:
        """Return what happened until the end of the world."""
        contestant, end = self._contestant, self._world.end
        while self._events:
            at, _, happens = heapq.heappop(self._events)
            while (look := contestant.next_look()) is not None and look <= min(at, end - 1):
                self._note(await contestant.look(look))
            if at >= end:
                break
            await happens(at)
        run = self._run
        for image, since in self._blocked_since.items():
            run.blocked.setdefault(image, []).append((since, end))
        run.spent = {image: len(crowd.spent) for image, crowd in self._crowds.items()}
        run.asked, run.reviewed = self._team.asked, self._team.done
        run.greatest_queue = self._team.greatest_queue
        return run

    async def _honest(self, seen: Seen, at: int) -> None:
        if seen.image not in self._blocked_since:  # nobody sees a blocked image
            self._run.reports += 1
            self._run.first_report.setdefault(seen.image, at)
            await self._report(at, seen.image, seen.person, seen.reason)

    async def _decoy(self, fake: Decoy, at: int) -> None:
        if fake.image not in self._blocked_since:
            await self._report(at, fake.image, fake.person, BLAMED)

    async def _fake(self, crowd: Crowd, person: Person, at: int) -> None:
        if crowd.attack.image not in self._blocked_since:
            crowd.spent.add(person.id)
            reason = URGENT if crowd.strategy.urgent else BLAMED
            await self._report(at, crowd.attack.image, person, reason)

    async def _wave(self, crowd: Crowd, at: int) -> None:
        crowd.planned = False
        if crowd.attack.image in self._blocked_since:
            return  # it comes again once the image is shown
        last = at
        for person, last in crowd.wave(at):
            self._plan(last, partial(self._fake, crowd, person))
        self._plan(last, partial(self._wave_ends, crowd))

    async def _wave_ends(self, crowd: Crowd, at: int) -> None:
        if crowd.attack.image not in self._blocked_since:
            self._come_again(crowd, at)

    def _come_again(self, crowd: Crowd, at: int) -> None:
        if not crowd.planned and (again := crowd.next_wave(at)) is not None:
            crowd.planned = True
            self._plan(again, partial(self._wave, crowd))

    async def _report(self, at: int, image: str, person: Person, reason: str) -> None:
        report = Report(image, person.id, at, at, reason, person.group)
        self._note(await self._contestant.report(report, person))
        priority = self._contestant.priority(image)
        if priority is not None:
            self._team.ask(image, at, priority)

    async def _review(self, at: int) -> None:
        image = self._team.take(at)
        if image is None:
            return
        self._run.reviewed_at_first += at < BASE + self._world.assumed.upload_days * DAY
        verdict = self._team.verdict(image)
        if verdict is Verdict.UPHELD and not self._world.images[image].violating:
            self._run.wrongly_upheld.add(image)
        self._note(await self._contestant.review(Review(image, at, at, verdict)))

    def _note(self, taken: Sequence[Taken]) -> None:
        for one in taken:
            self._run.taken.append(one)
            by_people = one.trigger != "moderator"
            if one.action is Action.BLOCK:
                self._blocked_since.setdefault(one.image, one.at)
            elif one.action is Action.UNBLOCK:
                since = self._blocked_since.pop(one.image)
                self._run.blocked.setdefault(one.image, []).append((since, one.at))
                if (crowd := self._crowds.get(one.image)) is not None:
                    self._come_again(crowd, one.at)
            if by_people and self._contestant.moderated and one.action is not Action.UNBLOCK:
                # A site looks at what was blocked as well as at what it is asked about.
                self._team.ask(one.image, one.at, self._contestant.priority(one.image) or 0.0)
