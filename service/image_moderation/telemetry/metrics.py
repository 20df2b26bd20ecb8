"""Every metric of the service, in a registry of its own. Imports only domain.

No label is an image, a reporter or free text. Every series whose labels are known beforehand starts at 0, so
that `rate()` sees its first increment.
"""

import platform
from collections import deque
from collections.abc import Mapping
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from image_moderation.domain.decision import Action, Trigger
from image_moderation.domain.message import DeadLetterReason
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Outcome

DEAD_LETTER = "dead_letter"
"""The outcome of a message that never became a report."""
MODES = ("live", "shadow")
VERDICTS = (Outcome.UPHELD, Outcome.CLEARED, Outcome.STALE, Outcome.DUPLICATE)
"""Outcomes that a verdict may have."""
NOT_OF_REPORTS = (Outcome.UPHELD, Outcome.CLEARED, Outcome.TICKED)
"""Outcomes that no report has."""
DECISIONS = (
    (Action.BLOCK, Trigger.THRESHOLD),
    (Action.BLOCK, Trigger.MODERATOR),
    (Action.UNBLOCK, Trigger.MODERATOR),
    (Action.REQUEST_REVIEW, Trigger.REVIEW_THRESHOLD),
    (Action.REQUEST_REVIEW, Trigger.URGENT_REASON),
    (Action.REQUEST_REVIEW, Trigger.BREAKER),
)
"""The actions with the triggers that each may have, so that no series is shown that never moves."""
FLOOD_WINDOW = 1_000
"""A flood of malformed messages is measured over this many."""

_Name = TypeVar("_Name", bound=str)

_AGES = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600, 21_600, 86_400, 604_800, 2_592_000)
_LATENCIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3_600)
_CALLS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)


class Metrics:
    """The metrics that the rooms set, by the methods of their own Protocols.

    `registry` takes other metrics too, such as those of FastStream's middleware.
    """

    def __init__(self, *, version: str, policy: Policy) -> None:
        # A global switch of the library: `_created` series would double the size of a scrape.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._flood = _Flood()

        reports = self._counter("reports", "Messages that were processed, by outcome.", "outcome")
        outcomes = (*(name for name in Outcome if name not in NOT_OF_REPORTS), DEAD_LETTER)
        self._reports = {name: reports.labels(name) for name in outcomes}
        verdicts = self._counter("verdicts", "Moderators' verdicts, by outcome.", "outcome")
        self._verdicts: dict[str, Counter] = {name: verdicts.labels(name) for name in VERDICTS}
        dead_letters = self._counter("dead_letters", "Messages parked as dead letters, by reason.", "reason")
        self._dead_letters = {name: dead_letters.labels(name) for name in DeadLetterReason}
        self._decisions = self._counter(
            "decisions",
            "Decisions, counted once each: when settled, or in shadow mode when taken and never published.",
            "decision",
            "trigger",
            "mode",
        )
        for action, trigger in DECISIONS:
            for mode in MODES:
                self._decisions.labels(action, trigger, mode)

        self._unroutable = self._counter(
            "unroutable",
            "Attempts to publish a decision that the broker could route nowhere; it stays in the outbox.",
        )
        self._report_age = self._histogram(
            "report_age_seconds",
            "Age of the oldest report of a batch when it was stored; one a batch.",
            _AGES,
        )
        self._decision_latency = self._histogram(
            "decision_latency_seconds",
            "From the arrival of the deciding report to the decision's confirmed publication.",
            _LATENCIES,
        )
        self._batch = self._histogram("batch_reports", "Messages in one batch.", _SIZES)
        self._store_call = self._histogram("store_call_seconds", "Duration of one call of the store.", _CALLS)

        self._outbox_pending = self._gauge("outbox_pending", "Decisions not yet confirmed by the broker.")
        self._outbox_age = self._gauge(
            "outbox_oldest_age_seconds", "Age of the oldest decision in the outbox; 0 where it is empty."
        )
        self._review_age = self._gauge(
            "oldest_unanswered_review_age_seconds",
            "Age of the oldest request for a review that no verdict has answered; 0 for none.",
        )
        self._breaker = self._gauge(
            "breaker_open", "1 while the last hour has had as many automatic blocks as it may have."
        )
        self._clock_offset = self._gauge(
            "clock_offset_seconds",
            "By how much this process's clock is ahead of the store's; beyond 300 either way it stops.",
        )
        self._lag = self._gauge(
            "intake_lag", "Messages not yet delivered to this group; NaN if the broker doesn't know."
        )
        self._pending = self._gauge("intake_pending", "Messages delivered to this group and not yet acked.")
        self._pending_age = self._gauge(
            "intake_oldest_pending_age_seconds",
            "Age of the oldest message delivered and not yet acked; 0 for none.",
        )
        self._ahead = self._gauge(
            "channel_ahead_seconds",
            "By how much the newest position of a channel lies in the future of the broker's clock.",
        )
        self._deleted_unread = self._counter(
            "deleted_unread",
            "Messages that somebody deleted before this group had read them; at least so many.",
        )
        self._ready = self._gauge("ready", "1 while every check of /readyz is ok.")
        self._flooded = self._gauge(
            "dead_letter_flood", "1 while more than half of the last 1,000 messages were dead letters."
        )
        self._gauge("block_threshold", "Distinct reporters that block an image, as configured.").set(
            policy.block_threshold
        )
        self._info("policy", "The policy in force, by the hash that its decisions have.", hash=policy.hash)
        self._info("build", "The running version.", version=version, python=platform.python_version())

    def reports(self, outcomes: Mapping[_Name, int]) -> None:
        """Count the reports of one batch by outcome. Dead letters are counted by `dead_letter` alone."""
        for outcome, count in outcomes.items():
            self._reports[outcome].inc(count)
        self._flooded.set(self._flood.add(sum(outcomes.values()), malformed=False))

    def verdicts(self, outcomes: Mapping[_Name, int]) -> None:
        """Count the verdicts of one batch by outcome, one of VERDICTS."""
        for outcome, count in outcomes.items():
            self._verdicts[outcome].inc(count)
        self._flooded.set(self._flood.add(sum(outcomes.values()), malformed=False))

    def dead_letter(self, reason: DeadLetterReason) -> None:
        """Count one dead letter, by reason and as an outcome."""
        self._dead_letters[reason].inc()
        self._reports[DEAD_LETTER].inc()
        self._flooded.set(self._flood.add(1, malformed=True))

    def batch(self, size: int) -> None:
        """Observe one batch of `size` messages, malformed ones included."""
        self._batch.observe(size)

    def store_call(self, seconds: float) -> None:
        """Observe one call of the store."""
        self._store_call.observe(seconds)

    def report_age(self, seconds: float) -> None:
        """Observe the age of a batch's oldest report; one a batch, so that a report costs nothing."""
        self._report_age.observe(seconds)

    def decision(self, action: str, trigger: str, mode: str = "live") -> None:
        """Count a decision, where it is settled and so once; of shadow mode, where it is taken."""
        self._decisions.labels(action, trigger, mode).inc()

    def decision_latency(self, seconds: float) -> None:
        """Observe the time from the deciding report's arrival to the confirmed publication."""
        self._decision_latency.observe(seconds)

    def unroutable(self) -> None:
        """Count one decision that the broker's routing refused; each attempt counts."""
        self._unroutable.inc()

    def outbox(self, pending: int, oldest_age: float) -> None:
        """Set the number of decisions in the outbox, and the age of the oldest in seconds (0 for none)."""
        self._outbox_pending.set(pending)
        self._outbox_age.set(oldest_age)

    def intake(self, lag: int | None, pending: int, oldest_pending_age: float) -> None:
        """Set how many messages wait at the broker, and the oldest age in seconds; `lag` None is unknown."""
        self._lag.set(float("nan") if lag is None else lag)
        self._pending.set(pending)
        self._pending_age.set(oldest_pending_age)

    def damage(self, ahead: float, deleted: int) -> None:
        """Set by how many seconds a channel is ahead of its broker's clock; count messages deleted unread."""
        self._ahead.set(ahead)
        self._deleted_unread.inc(deleted)

    def review_age(self, seconds: float) -> None:
        """Set the seconds that the oldest request for a review has waited for a verdict (0 for none)."""
        self._review_age.set(seconds)

    def clock_offset(self, seconds: float) -> None:
        """Set by how much this process's clock is ahead of the store's; negative if it is behind."""
        self._clock_offset.set(seconds)

    def breaker(self, is_open: bool) -> None:
        """Set whether automatic blocks are being withheld."""
        self._breaker.set(is_open)

    def ready(self, ready: bool) -> None:
        """Set whether /readyz says ok."""
        self._ready.set(ready)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return `(body, content type)`: OpenMetrics where `accept` asks for it, else Prometheus'."""
        try:
            encode, content_type = choose_encoder(accept)
            return encode(self.registry), content_type
        except (TypeError, ValueError):  # the library's, for a version that is no number
            encode, content_type = choose_encoder("")
            return encode(self.registry), content_type

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, namespace="moderation", registry=self.registry)

    def _gauge(self, name: str, documentation: str) -> Gauge:
        return Gauge(name, documentation, namespace="moderation", registry=self.registry)

    def _info(self, name: str, documentation: str, **labels: str) -> None:
        Info(name, documentation, namespace="moderation", registry=self.registry).info(labels)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, documentation, namespace="moderation", buckets=buckets, registry=self.registry)


class _Flood:
    """The last FLOOD_WINDOW messages as runs of good and of malformed ones, so that a good message costs
    nothing.

    Within one batch the order of the calls is not the broker's. That matters only if a batch is larger than
    the window.
    """

    def __init__(self) -> None:
        self._runs: deque[tuple[int, bool]] = deque()
        self._size = 0
        self._malformed = 0

    def add(self, count: int, *, malformed: bool) -> bool:
        """Add `count` messages of one kind; return whether more than half of the window is malformed."""
        if self._runs and self._runs[-1][1] is malformed:
            self._runs[-1] = (self._runs[-1][0] + count, malformed)
        else:
            self._runs.append((count, malformed))
        self._size += count
        self._malformed += count * malformed
        while self._size > FLOOD_WINDOW:
            oldest, kind = self._runs.popleft()
            leaving = min(oldest, self._size - FLOOD_WINDOW)
            self._size -= leaving
            self._malformed -= leaving * kind
            if leaving < oldest:
                self._runs.appendleft((oldest - leaving, kind))
        return self._malformed * 2 > FLOOD_WINDOW
