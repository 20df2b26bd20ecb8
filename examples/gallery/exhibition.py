"""The state of the site's pictures: which are blocked, and which wait for a moderator's review.

Implements the consumer rule of `contracts/README.md` and nothing else. Imports only the standard library.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from examples.gallery.events import Decision, Verdict


@dataclass(slots=True)
class _Case:
    """The newest applied event of each kind."""

    state: Decision | None = None
    """The newest block or unblock."""
    block: Decision | None = None
    """The newest block, in force or not."""
    request: Decision | None = None
    verdict: Verdict | None = None


class Exhibition:
    """Applies events. The end state doesn't depend on their order or repetition."""

    def __init__(self, picture_ids: Collection[str]) -> None:
        """Events about other images belong to other sites and are ignored."""
        self._cases = {picture_id: _Case() for picture_id in picture_ids}

    def apply(self, event: Decision | Verdict) -> bool:
        """Apply an event; return whether it changed anything."""
        case = self._cases.get(event.image_id)
        if case is None:
            return False
        if isinstance(event, Verdict):
            return self._apply_verdict(case, event)
        last = case.request if event.kind == "review" else case.state
        if last is not None and event.decided_at <= last.decided_at:
            return False
        if event.kind == "review":
            case.request = event
        else:
            case.state = event
        if event.kind == "blocked":
            case.block = event
        return True

    def _apply_verdict(self, case: _Case, verdict: Verdict) -> bool:
        last = case.verdict
        if last is not None:
            older = verdict.at < last.at
            # At the same time, `upheld` wins.
            if older or (verdict.at == last.at and (verdict.cleared or not last.cleared)):
                return False
        case.verdict = verdict
        return True

    def blocked(self, picture_id: str) -> Decision | None:
        """Return the block in force, None for a picture that is not blocked."""
        state = self._cases[picture_id].state
        return state if state is not None and state.kind == "blocked" else None

    def verdict(self, picture_id: str) -> Verdict | None:
        return self._cases[picture_id].verdict

    def cleared_at(self, picture_id: str) -> datetime | None:
        """Return when a moderator cleared the picture, None if that isn't the newest verdict.

        The verdict of another program may be trimmed already, but the unblock tells of it.
        """
        case = self._cases[picture_id]
        times = [case.verdict.at] if case.verdict and case.verdict.cleared else []
        state = case.state
        by_moderator = state and state.kind == "unblocked" and state.trigger == "moderator"
        upheld_since = state and case.verdict and not case.verdict.cleared and case.verdict.at > state.at
        if state and by_moderator and not upheld_since:
            times.append(state.at)
        return max(times, default=None)

    def unanswered(self, picture_id: str) -> bool:
        """Return whether the newest verdict changes the state, and the service hasn't done so yet."""
        case = self._cases[picture_id]
        if case.verdict is None or (case.state is not None and case.verdict.at < case.state.at):
            return False
        return case.verdict.cleared == (self.blocked(picture_id) is not None)

    def facts(self, picture_id: str) -> Decision | None:
        """Return the newest block or request: what is known of the picture's reports."""
        case = self._cases[picture_id]
        told = [decision for decision in (case.block, case.request) if decision is not None]
        return max(told, key=lambda decision: decision.decided_at, default=None)

    def request(self, picture_id: str) -> Decision | None:
        """Return the review request without a later decision or verdict."""
        case = self._cases[picture_id]
        return None if _answered(case) else case.request

    def threshold(self) -> int | None:
        """Return how many distinct reporters block an image, from the latest decision that says it."""
        told = [
            decision
            for case in self._cases.values()
            for decision in (case.state, case.request)
            if decision is not None and decision.threshold is not None
        ]
        return max(told, key=lambda decision: decision.decided_at).threshold if told else None

    def queue(self) -> list[Decision]:
        """Return the review requests without a later decision or verdict, oldest first."""
        open_requests = [request for picture_id in self._cases if (request := self.request(picture_id))]
        return sorted(open_requests, key=lambda request: request.decided_at)

    def blocks(self) -> list[Decision]:
        """Return all blocks in force, newest first."""
        blocks = [block for picture_id in self._cases if (block := self.blocked(picture_id)) is not None]
        return sorted(blocks, key=lambda block: block.decided_at, reverse=True)


def _answered(case: _Case) -> bool:
    if case.request is None:
        return True
    by_decision = case.state is not None and case.state.decided_at > case.request.decided_at
    by_verdict = case.verdict is not None and case.verdict.at >= case.request.at
    return by_decision or by_verdict
