"""One setting in a replay: its cases, and what the service does beside applying events.

That is: deadlines of withheld blocks, the breaker's hour, and forgetting cases when their keys would expire.
"""

import heapq
from collections import deque
from dataclasses import dataclass, replace

from image_moderation.backtest.differences import History
from image_moderation.backtest.measures import Measures
from image_moderation.domain.case import Case
from image_moderation.domain.clock import HOUR
from image_moderation.domain.decision import Action, Decision
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Event, Outcome, Report, Tick, Verdict
from image_moderation.domain.rules import apply
from image_moderation.domain.rules.decisions import Step, requested
from image_moderation.domain.rules.evaluation import BREAKER_RETRY


@dataclass(frozen=True, slots=True)
class Setting:
    """One policy, and how long its cases are kept after their last change, in milliseconds."""

    name: str
    policy: Policy
    keeps_open: int
    keeps_decided: int


class Track:
    """One image under one setting."""

    __slots__ = ("before", "best", "case", "first", "history", "until")

    def __init__(self) -> None:
        self.case = NEW
        self.until = 0
        """When the case is forgotten."""
        self.first = 0
        """The time of the first report of those that led to where it is: before it none counted."""
        self.before = 0
        """Reports of the image before that one."""
        self.best = 0
        """The greatest score so far."""
        self.history: History | None = None
        """None while nothing was decided."""


class Image:
    """One image under all settings."""

    __slots__ = ("reports", "tracks")

    def __init__(self, settings: int) -> None:
        self.reports = 0
        self.tracks = tuple(Track() for _ in range(settings))


NEW = Case()


class Run:
    """One setting in a replay."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.measures = Measures()
        self._asks = setting.policy.asks_reviews
        self._blocks: deque[int] = deque()
        """When the automatic blocks of the last hour were taken, with a breaker."""
        self._due: list[tuple[int, str]] = []
        self._due_at: dict[str, int] = {}
        """The deadlines that hold; an older one of the heap is void."""

    def next_due(self, now: int) -> tuple[int, str] | None:
        """Take the earliest deadline up to `now`: when, and of which image."""
        while self._due and self._due[0][0] <= now:
            at, image_id = heapq.heappop(self._due)
            if self._due_at.get(image_id) == at:
                del self._due_at[image_id]
                return at, image_id
        return None

    def apply(self, image: Image, track: Track, event: Event, now: int) -> None:
        """Apply one event at the replay's time `now`, and count what comes of it."""
        if track.until <= now and track.case is not NEW:
            self.forget(track)
        before, left = track.case, self._blocks_left(now)
        step = apply(self.setting.policy, before, event, now, left)
        after, outcome = step.case, step.outcome
        if not isinstance(event, Tick):
            self.measures.outcomes[outcome] += 1
        if outcome is Outcome.COUNTED and isinstance(event, Report):
            score = after.score if step.decision is None else step.decision.distinct_reporters
            if score == 1:
                track.first, track.before = event.time, image.reports - 1
        if step.decision is not None:
            # The facts of the latest decision are for `inspect` alone.
            after = replace(after, facts=None)
            self._note_decision(image, track, step, step.decision)
        if outcome is Outcome.CLEARED or outcome is Outcome.UPHELD:
            self._note_verdict(track, outcome, now)
        if after is before:
            return
        if step.due is not None:
            self._note_due(event.image_id, step.due, now, left)
        if self._asks:
            asked = requested(self.setting.policy, after) is not None
            if asked is not (requested(self.setting.policy, before) is not None):
                self.measures.queued(1 if asked else -1)
        track.case = after
        track.until = now + (self.setting.keeps_decided if _is_decided(after) else self.setting.keeps_open)
        track.best = max(track.best, after.score)

    def forget(self, track: Track) -> None:
        """Forget a case, as Redis does when its key expires."""
        if requested(self.setting.policy, track.case) is not None:
            self.measures.queued(-1)
        track.case, track.until = NEW, 0

    def _note_decision(self, image: Image, track: Track, step: Step, decision: Decision) -> None:
        measures, history = self.measures, self._history(track)
        if decision.action is Action.REQUEST_REVIEW:
            measures.reviews[decision.trigger] += 1
            measures.reviews_over_time.add(decision.decided_at)
            history.reviews += 1
        elif decision.action is Action.UNBLOCK:
            measures.unblocks += 1
        elif not decision.automated:
            measures.blocks_by_moderators += 1
            history.blocked_by_moderator = history.blocked_by_moderator or decision.decided_at
        else:
            if not step.shadow and self.setting.policy.max_blocks_per_hour:
                self._blocks.append(decision.decided_at)
            measures.blocks += 1
            measures.images_blocked += not history.blocked_at
            measures.after_cleared += step.case.verdict is Verdict.CLEARED
            measures.blocks_over_time.add(decision.decided_at)
            measures.time_to_block.add(max(0, decision.decided_at - track.first))
            measures.reports_needed.add(image.reports - track.before)
            history.note_block(decision)

    def _note_verdict(self, track: Track, outcome: Outcome, now: int) -> None:
        history = self._history(track)
        if outcome is Outcome.CLEARED:
            self.measures.overturned += history.stands
            history.stands = history.judged = False
            history.cleared_at = now
        elif history.stands and not history.judged:
            self.measures.upheld += 1
            history.judged = True

    def _history(self, track: Track) -> History:
        if track.history is None:
            track.history = History()
        return track.history

    def _note_due(self, image_id: str, due: int, now: int, left: int | None) -> None:
        if left == 0 and due == now + BREAKER_RETRY and self._blocks:
            # Nothing changes before there is room, so the looks in between are left out.
            room = self._blocks[0] + HOUR
            due += max(0, -(-(room - due) // BREAKER_RETRY)) * BREAKER_RETRY
        self._due_at[image_id] = due
        heapq.heappush(self._due, (due, image_id))

    def _blocks_left(self, now: int) -> int | None:
        limit = self.setting.policy.max_blocks_per_hour
        if not limit:
            return None
        while self._blocks and self._blocks[0] <= now - HOUR:
            self._blocks.popleft()
        return max(0, limit - len(self._blocks))


def _is_decided(case: Case) -> bool:
    """Whether a case is kept as a decided one, as `dump` of scripts/apply/case.lua says."""
    waits = case.withheld or case.shadow_blocked or case.review or case.shadow_review
    return bool(case.revision or case.verdict or waits)
