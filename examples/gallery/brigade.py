"""Attacks a picture with fake accounts, and explains in words what the service decided and why.

The explanation uses only the decisions of the contract, and without a decision, the reports that were sent.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from examples.gallery.broker import NotSent, send_reports
from examples.gallery.events import Decision, Event, report_event
from examples.gallery.journal import Accounts, Entry, Journal, Said
from examples.gallery.moderation import publish
from examples.gallery.pictures import Picture
from examples.gallery.site import Site
from examples.gallery.visitors import own_device

MOST_ACCOUNTS = 50
STEPS_A_WINDOW = 3
"""Reports of a slow attack per report window."""


@dataclass(frozen=True, slots=True)
class Attack:
    picture: Picture
    accounts: Accounts
    device: str
    """The device that all of a visitor's fake accounts share, if `accounts.shared`."""

    @property
    def fields(self) -> Mapping[str, str]:
        """Return the fields of the form that make the same attack."""
        return {
            "picture": self.picture.id,
            "accounts": str(self.accounts.number),
            "origin": "shared" if self.accounts.shared else "own",
            "pace": "slow" if self.accounts.slow else "fast",
        }

    def first_at(self, now: datetime, apart: timedelta) -> datetime:
        """Return the time of the first report, in whole milliseconds as in its event."""
        first = now - apart * (self.accounts.number - 1) if self.accounts.slow else now
        return first.replace(microsecond=first.microsecond // 1000 * 1000)


def step(site: Site) -> timedelta:
    """Return the time between two reports of a slow attack."""
    return site.settings.rules.window / STEPS_A_WINDOW


def new_attack(picture: Picture, secret: str, *, number: int, shared: bool, slow: bool) -> Attack:
    return Attack(picture, Accounts(number, shared, slow), own_device(secret))


def reports(attack: Attack, now: datetime, apart: timedelta) -> list[bytes]:
    """Return the reports of an attack, oldest first. Every attack uses new accounts."""
    count, run = attack.accounts.number, uuid4().hex[:12]
    return [
        report_event(
            event_id=str(uuid4()),
            image_id=attack.picture.id,
            reporter_id=f"fake-{run}-{number}",
            reason="nudity",
            at=now - (apart * (count - 1 - number) if attack.accounts.slow else timedelta()),
            reporter_group=attack.device if attack.accounts.shared else None,
        )
        for number in range(count)
    ]


async def run(site: Site, journal: Journal, attack: Attack) -> None:
    """Send an attack and log the result; return after a block, or when no decision comes in time."""
    async with journal.lock:
        now, apart = site.now(), step(site)
        known = Known.of(site, attack.picture.id)
        with site.news.subscribe() as news:
            try:
                await send_reports(site.client, reports(attack, now, apart))
            except NotSent:
                journal.add(Entry(now, "error", Said("log_not_sent", {"picture": attack.picture.id})))
                return
            journal.last_attack = attack.fields
            journal.add(_sent(attack, now, apart))
            while decision := await _next_decision(news, attack.picture.id, site.settings.decision_timeout):
                journal.add(told(decision, attack.picture, site, Sent(attack, attack.first_at(now, apart))))
                if decision.kind == "blocked":
                    return
        what = Said("log_silent", {"picture": attack.picture.id})
        if known.blocked:
            what = Said("log_silent_blocked", {"picture": attack.picture.id})
            journal.add(Entry(site.now(), "silent", what))
            return
        withheld = site.standing(attack.picture, "").state == "withheld"
        why = why_silent(attack.accounts, known, site, withheld=withheld)
        journal.add(Entry(site.now(), "silent", what, why))


async def clear(site: Site, journal: Journal, picture: Picture) -> None:
    """Publish a verdict `cleared`; return when the picture is shown again."""
    async with journal.lock:
        was_blocked = site.exhibition.blocked(picture.id) is not None
        with site.news.subscribe() as news:
            try:
                await publish(site, picture.id, cleared=True)
            except NotSent:
                journal.add(Entry(site.now(), "error", Said("log_verdict_not_sent", {"picture": picture.id})))
                return
            why = (
                () if was_blocked else (Said("log_cleared_open", {"immunity": site.settings.rules.immunity}),)
            )
            journal.add(Entry(site.now(), "verdict", Said("log_verdict", {"picture": picture.id}), why))
            while was_blocked:
                decision = await _next_decision(news, picture.id, site.settings.decision_timeout)
                if decision is None:
                    journal.add(Entry(site.now(), "error", _unknown(site)))
                    return
                journal.add(told(decision, picture, site))
                was_blocked = decision.kind != "unblocked"


async def _next_decision(news: "asyncio.Queue[Event]", picture_id: str, limit: timedelta) -> Decision | None:
    """Return the next decision about the picture, or None if there is none within `limit`."""
    try:
        async with asyncio.timeout(limit.total_seconds()):
            while True:
                event = await news.get()
                if isinstance(event, Decision) and event.image_id == picture_id:
                    return event
    except TimeoutError:
        return None


@dataclass(frozen=True, slots=True)
class Known:
    """The state of a picture before an attack, as the site knows it."""

    blocked: bool
    cleared_at: datetime | None
    """Time of the verdict `cleared` that is still the newest, however old it is."""

    @classmethod
    def of(cls, site: Site, picture_id: str) -> "Known":
        blocked = site.exhibition.blocked(picture_id) is not None
        return cls(blocked, site.exhibition.cleared_at(picture_id))


@dataclass(frozen=True, slots=True)
class Sent:
    """An attack that was sent; `first` is the time of its first report."""

    attack: Attack
    first: datetime


def _sent(attack: Attack, now: datetime, apart: timedelta) -> Entry:
    accounts = attack.accounts
    pace = Said("log_sent_fast")
    if accounts.slow:
        pace = Said("log_sent_slow", {"step": apart, "first": attack.first_at(now, apart)})
    origin = Said("log_sent_shared" if accounts.shared else "log_sent_own")
    return Entry(
        now,
        "attack",
        Said("log_sent", {"n": accounts.number, "picture": attack.picture.id}),
        (origin, pace),
        accounts,
    )


def told(decision: Decision, picture: Picture, site: Site, sent: Sent | None = None) -> Entry:
    """Describe a decision in words, from the fields that it has. `sent` is the attack that led to it."""
    counts = {}
    if decision.distinct_reporters is not None and decision.threshold is not None:
        counts = {"n": decision.distinct_reporters, "threshold": decision.threshold}
    why: list[Said] = []
    if decision.kind == "unblocked":
        why.append(Said("log_unblocked_why", {"immunity": site.settings.rules.immunity}))
    elif decision.kind == "review":
        why += [Said("log_review_why", counts)] if counts else []
    elif not decision.automated:
        why.append(Said("log_blocked_moderator"))
    else:
        why.append(Said("log_blocked_why", counts) if counts else Said("log_blocked_plain"))
    if sent is not None and decision.automated:
        why += _whose(decision, sent)
    what = Said(f"log_{decision.kind}", {"picture": picture.id, "revision": decision.revision})
    return Entry(decision.at, decision.kind, what, tuple(why))


def _whose(decision: Decision, sent: Sent) -> list[Said]:
    """Say which reports counted: earlier ones, too, or only some of the attack's."""
    accounts, counted = sent.attack.accounts, decision.distinct_reporters
    first, last = decision.first_reported_at, decision.last_reported_at
    said: list[Said] = []
    if first is not None and first < sent.first:
        of_attack = 1 if accounts.shared else accounts.number
        earlier = max(1, (counted or 0) - of_attack)
        said.append(Said("log_earlier", {"n": earlier, "at": first}))
    elif counted is not None and decision.kind == "blocked" and accounts.number > counted:
        said.append(Said("log_blocked_rest"))
    if accounts.slow and decision.kind == "blocked" and first and last:
        said.append(Said("log_blocked_slow", {"first": first, "last": last}))
    return said


def why_silent(accounts: Accounts, known: Known, site: Site, *, withheld: bool = False) -> tuple[Said, ...]:
    """Say why no block came: the first reason that applies is enough, as for the service."""
    immunity, now = site.settings.rules.immunity, site.now()
    threshold = site.exhibition.threshold()
    if known.cleared_at is not None and now < known.cleared_at + immunity:
        return (Said("log_silent_cleared", {"at": known.cleared_at, "immunity": immunity}),)
    if accounts.shared:
        return (Said("log_silent_shared"),)
    if withheld:
        return (Said("log_silent_withheld"),)
    if threshold is None and accounts.number < MOST_ACCOUNTS and not accounts.slow:
        return (Said("log_silent_few", {"n": accounts.number}), _unknown(site))
    if threshold is not None and accounts.number < threshold:
        return (Said("log_silent_few_of", {"n": accounts.number, "threshold": threshold}),)
    if accounts.slow:
        return (Said("log_silent_slow", {"window": site.settings.rules.window}),)
    return (_unknown(site),)


def _unknown(site: Site) -> Said:
    return Said("log_silent_unknown", {"seconds": f"{site.settings.decision_timeout.total_seconds():g}"})
