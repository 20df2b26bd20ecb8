"""What the brigade page explains: why a picture was blocked, and why not."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from examples.gallery import brigade
from examples.gallery.broker import connect
from examples.gallery.events import Decision, stamp
from examples.gallery.journal import Accounts
from examples.gallery.pictures import PICTURES
from examples.gallery.site import Settings, Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """The site's state; its broker has gone away."""
    settings = Settings(f"unix://{tmp_path}/no-such.sock")
    return Site(settings, connect(settings.redis_url))


def decision(kind: str, image: str, **more: Any) -> Decision:
    at = stamp(datetime.now(UTC))
    return Decision(kind=cast("Any", kind), image_id=image, decided_at=at, revision=1, **more)


def known(*, cleared_at: datetime | None = None) -> brigade.Known:
    return brigade.Known(blocked=False, cleared_at=cleared_at)


def test_silence_is_explained_by_what_was_sent(site: Site) -> None:
    def why(accounts: Accounts, before: brigade.Known) -> list[str]:
        return [said.key for said in brigade.why_silent(accounts, before, site)]

    many, drip, gang = (
        Accounts(20, shared=False, slow=False),
        Accounts(20, shared=False, slow=True),
        Accounts(20, shared=True, slow=False),
    )
    assert why(many, known(cleared_at=site.now() - timedelta(days=29))) == ["log_silent_cleared"]
    assert why(gang, known(cleared_at=site.now() - timedelta(days=31))) == ["log_silent_shared"]
    assert why(drip, known()) == ["log_silent_slow"]
    assert "log_silent_unknown" in why(many, known())
    site.learn(decision("review", "still-lake", threshold=5, distinct_reporters=3))
    assert why(many, known()) == ["log_silent_unknown"]
    assert why(Accounts(4, shared=False, slow=False), known()) == ["log_silent_few_of"]


def test_the_log_says_when_earlier_reports_counted(site: Site) -> None:
    now, picture = site.now(), PICTURES["still-lake"]

    def why(number: int, first: datetime, *, shared: bool = False, kind: str = "blocked") -> list[str]:
        attack = brigade.Attack(picture, Accounts(number, shared, slow=False), "device")
        told = decision(
            kind, picture.id, automated=True, distinct_reporters=5, threshold=5, first_reported_at=first
        )
        sent = brigade.Sent(attack, attack.first_at(now, timedelta()))
        return [f"{said.key} {said.values.get('n')}" for said in brigade.told(told, picture, site, sent).why]

    milliseconds = now.replace(microsecond=now.microsecond // 1000 * 1000)
    earlier = now - timedelta(hours=1)
    assert why(5, milliseconds) == ["log_blocked_why 5"]
    assert why(12, milliseconds) == ["log_blocked_why 5", "log_blocked_rest None"]
    assert why(3, earlier) == ["log_blocked_why 5", "log_earlier 2"]
    assert why(12, earlier) == ["log_blocked_why 5", "log_earlier 1"]
    assert why(12, earlier, shared=True) == ["log_blocked_why 5", "log_earlier 4"]
    assert why(3, earlier, kind="review") == ["log_review_why 5", "log_earlier 2"]
