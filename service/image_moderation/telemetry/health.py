"""Readiness: the last result of each check of `/readyz`. Imports nothing of the project."""

import re
from collections.abc import Callable, Iterable
from math import inf
from time import monotonic
from typing import TypedDict

import structlog

CHECKS = ("broker", "store", "channels", "intake", "outbox")
OK = "ok"
STARTING = "starting"
DRAINING = "draining"
REPEAT = 60.0
"""Seconds after which a check that is still not ok is logged again, with the reason of that moment."""

_CREDENTIALS = re.compile(r"://[^/\s]*@")
log = structlog.get_logger(__name__)


class Report(TypedDict):
    """The body of /readyz."""

    status: str
    """`ok` or `unavailable`."""
    checks: dict[str, str]
    """By check: `ok`, or one line with the reason."""


class Health:
    """Named checks. A loop sets each; all start unavailable."""

    def __init__(
        self,
        checks: Iterable[str] = CHECKS,
        on_ready: Callable[[bool], None] = lambda _: None,
        now: Callable[[], float] = monotonic,
    ) -> None:
        """`on_ready` is called with the readiness, at once and whenever it changes; `now` gives seconds."""
        self._now = now
        self._set_at: dict[str, float] = {}
        self._logged: dict[str, float] = {}
        self._checks = dict.fromkeys(checks, STARTING)
        self._on_ready = on_ready
        self._was_ready = self.ready
        on_ready(self._was_ready)

    def set(self, name: str, ok: bool, why: str = "") -> None:
        """Set the check `name` to ok or to the reason `why`.

        May be called often: a change is logged, and once a minute that it is still not ok.

        Raises:
            KeyError: there is no such check.
        """
        before = self._checks[name]
        self._set_at[name] = self._now()
        after = OK if ok else _short(why)
        self._checks[name] = after
        if ok and before != OK:
            log.info("check_ok", check=name)
            self._logged.pop(name, None)
        elif not ok and after not in (STARTING, DRAINING):
            self._complain(name, after)
        if self.ready != self._was_ready:
            self._was_ready = self.ready
            self._on_ready(self._was_ready)
            if self._was_ready:
                log.info("ready")
            else:
                log.info("not_ready")

    def _complain(self, name: str, why: str) -> None:
        # Not at each new text of the same outage: some reasons contain a number.
        now = self._now()
        if now - self._logged.get(name, -inf) >= REPEAT:
            self._logged[name] = now
            log.warning("check_failed", check=name, error=why)

    def expire(self, names: Iterable[str], age: float) -> None:
        """Set checks to not ok that were ok and have not been set for `age` seconds: an answer is overdue."""
        now = self._now()
        for name in names:
            if self.ok(name) and now - self._set_at[name] >= age:
                self.set(name, ok=False, why=f"no answer for {age:g} s")

    def ok(self, name: str) -> bool:
        """True if the check `name` was ok when it was last set."""
        return self._checks[name] == OK

    @property
    def ready(self) -> bool:
        """True while every check is ok."""
        return all(state == OK for state in self._checks.values())

    def report(self) -> Report:
        """Return the body of /readyz."""
        return {"status": OK if self.ready else "unavailable", "checks": dict(self._checks)}


def _short(why: str) -> str:
    """Return a reason that anybody may read: one line, without credentials, never `ok`."""
    line = _CREDENTIALS.sub("://***@", " ".join(why.split()))[:200]
    return line if line and line != OK else "unavailable"
