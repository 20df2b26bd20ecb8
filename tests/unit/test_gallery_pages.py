"""The gallery's pages without a browser and a broker: whom they let in, and what they say."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.datastructures import Headers
from starlette.types import ASGIApp

from examples.gallery.app import build
from examples.gallery.broker import connect
from examples.gallery.events import Decision, Report, Verdict, stamp
from examples.gallery.guard import from_this_site
from examples.gallery.pictures import PICTURES
from examples.gallery.site import Settings, Site
from examples.gallery.visitors import network_group, reporter_id
from tests.support.asgi import ask

ME = "v" * 22
MINE = f"visitor={ME}"


def decision(kind: str, image: str, ago: timedelta = timedelta(), **more: Any) -> Decision:
    at = stamp(datetime.now(UTC) - ago)
    return Decision(kind=cast("Any", kind), image_id=image, decided_at=at, revision=1, **more)


@pytest.fixture
def app(tmp_path: Path) -> ASGIApp:
    """The site, whose broker has gone away."""
    settings = Settings(f"unix://{tmp_path}/no-such.sock")
    app = build(settings)
    app.state.site = Site(settings, connect(settings.redis_url))
    return app


async def test_a_report_that_could_not_be_sent_is_not_thanked_for(app: ASGIApp) -> None:
    plain = await ask(app, "/report/still-lake", "reason=spam", sec_fetch_site="same-origin")
    script = await ask(
        app, "/report/still-lake", "reason=spam", sec_fetch_site="same-origin", accept="application/json"
    )
    assert (plain.status, script.status) == (503, 503)
    assert "Your report could not be sent" in plain.text
    assert "Thanks" not in plain.text + script.text
    assert json.loads(script.text)["error"].startswith("Your report could not be sent")


async def test_a_verdict_or_an_attack_that_could_not_be_sent_says_so(app: ASGIApp) -> None:
    judged = await ask(
        app, "/moderation/verdicts/still-lake", "verdict=cleared", sec_fetch_site="same-origin"
    )
    assert (judged.status, "could not be sent" in judged.text) == (503, True)
    visitor = "visitor=" + "v" * 22
    fields = "picture=still-lake&accounts=3&origin=own&pace=fast"
    attacked = await ask(app, "/brigade", fields, sec_fetch_site="same-origin", cookie=visitor)
    assert attacked.status == 303
    page = await ask(app, "/brigade", cookie=visitor)
    assert "The reports of “Still lake” could not be sent. Nothing happened." in page.text
    assert "The same attack again" not in page.text
    # The page of an error has no address of its own, so a change of the language leads to one that has.
    assert 'href="/moderation?lang=fr"' in judged.text


@pytest.mark.parametrize(
    ("headers", "let_in"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "http://gallery"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"origin": "http://gallery"}, True),
        ({"origin": "http://gallery.evil"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://["}, False),
        ({}, False),
    ],
)
def test_forms_of_other_sites_are_refused(headers: dict[str, str], let_in: bool) -> None:
    assert from_this_site(Headers({"host": "gallery", **headers})) == let_in


async def test_every_answer_carries_the_security_headers(app: ASGIApp) -> None:
    for answer in (
        await ask(app, "/"),
        await ask(app, "/images/still-lake.svg"),
        await ask(app, "/static/style.css"),
        await ask(app, "/no-such-page"),
        await ask(app, "/report/still-lake", "reason=spam"),
    ):
        assert answer.headers["content-security-policy"].startswith("default-src 'self'; ")
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await ask(app, "/", host="evil.example")).status == 400
    cookie = (await ask(app, "/")).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/report/still-lake", "reason=because", 400),
        ("/report/still-lake", "", 400),
        ("/report/still-lake", "reason=%ff", 400),
        ("/report/still-lake", "reason=" + "x" * 5000, 400),
        ("/report/still-lake", "reason=spam…", 400),  # the visitor went away
        ("/report/no-such-picture/back", "back=1", 404),
        ("/report/no-such-picture", "reason=spam", 404),
        ("/moderation/verdicts/still-lake", "verdict=maybe", 400),
        ("/brigade", "picture=still-lake&accounts=51&origin=own&pace=fast", 400),
        ("/brigade", "picture=still-lake&accounts=many&origin=own&pace=fast", 400),
        ("/brigade", "picture=still-lake&accounts=5&origin=mars&pace=fast", 400),
        ("/brigade", "picture=mona-lisa&accounts=5&origin=own&pace=fast", 404),
        ("/brigade/clear", "picture=mona-lisa", 404),
    ],
)
async def test_a_form_that_no_page_sends_is_refused(
    app: ASGIApp, path: str, fields: str, status: int
) -> None:
    assert (await ask(app, path, fields, sec_fetch_site="same-origin")).status == status


def test_a_network_is_told_by_an_opaque_key() -> None:
    key, other = b"k" * 32, b"o" * 32
    assert network_group("2001:db8::1", key) == network_group("2001:db8::ffff:1", key)
    assert network_group("2001:db8::1", key) != network_group("2001:db8:0:1::1", key)
    assert network_group("::ffff:192.0.2.1", key) == network_group("192.0.2.1", key)
    assert network_group("192.0.2.1", key) != network_group("192.0.2.2", key)
    assert network_group("192.0.2.1", key) != network_group("192.0.2.1", other)
    assert "192" not in str(network_group("192.0.2.1", key)).partition("-")[0]
    assert network_group("testclient", key) is None
    assert "secret" not in reporter_id("secret")


async def test_an_address_that_no_page_has_is_refused_without_an_error(app: ASGIApp) -> None:
    for path, status in (
        ("/static/\0", 404),
        ("/brigade/events?seen=" + "9" * 5000, 400),
        ("/brigade/clear", 405),
    ):
        assert (await ask(app, path)).status == status
    assert (await ask(app, "/brigade/events", last_event_id="9" * 5000)).status == 400


# What they say

TRUE_OF: dict[str, tuple[list[Decision | Verdict], str, str]] = {
    "first-snow": ([], "It is blocked automatically once several people", "Elle est automatiquement bloquée"),
    "still-lake": (
        [decision("blocked", "still-lake")],
        "There is nothing left to report",
        "n\u2019y a plus rien à signaler",
    ),
    "red-desert": (
        [Verdict("red-desert", True, datetime.now(UTC))],
        "A moderator has looked at this image and keeps it: before <time",
        "Un modérateur a regardé cette image et la garde\u00a0: avant le <time",
    ),
    "pine-valley": (
        [decision("review", "pine-valley", trigger="breaker")],
        "for now it isn\u2019t blocked automatically",
        "pour l\u2019instant, elle n\u2019est pas bloquée automatiquement",
    ),
}
"""For each picture its events, and what forms and thanks must say of it."""


@pytest.mark.parametrize("picture", TRUE_OF)
async def test_form_and_thanks_say_what_is_true_in_each_state(app: Any, picture: str) -> None:
    site: Site = app.state.site
    events, *said = TRUE_OF[picture]
    for event in events:
        site.learn(event)
    for language, words in zip(("en", "fr"), said, strict=True):
        page = (await ask(app, f"/report/{picture}?lang={language}", cookie=MINE)).text
        assert words in page
        assert (f'src="/images/{picture}.svg"' in page) == (picture != "still-lake")
        assert ('name="reason"' in page) == (picture != "still-lake")
        thanks = (await ask(app, f"/?reported={picture}&lang={language}", cookie=MINE)).text
        status = thanks[thanks.index('id="status"') :].partition("</p>")[0]
        promised = "will be blocked" in status or "sera automatiquement bloquée" in status
        assert promised == (picture == "first-snow")
        assert (
            PICTURES[picture].titles[language] in thanks[thanks.index('id="notice"') :].partition("<p id")[0]
        )


async def test_a_report_is_marked_for_who_made_it(app: Any) -> None:
    site: Site = app.state.site
    site.learn(Report("first-snow", reporter_id(ME), site.now(), "spam"))
    mine, others = (await ask(app, "/", cookie=MINE)).text, (await ask(app, "/")).text
    assert ("You reported it" in mine, "You reported it" in others) == (True, False)
    assert "Take back your report of “First snow”" in mine
    assert "Report “First snow”" in others
    form = (await ask(app, "/report/first-snow", cookie=MINE)).text
    assert ("You have reported it" in form, 'action="/report/first-snow/back"' in form) == (True, True)
    assert 'name="reason"' not in form
    site.learn(decision("blocked", "first-snow"))
    assert "Take back" not in (await ask(app, "/", cookie=MINE)).text


async def test_the_desk_shows_every_picture_once_with_what_is_known(app: Any) -> None:
    site: Site = app.state.site
    shared: dict[str, Any] = {"distinct_reporters": 5, "threshold": 5, "reasons": {"nudity": 15, "spam": 1}}
    first = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
    site.learn(
        decision(
            "blocked", "still-lake", trigger="threshold", automated=True, first_reported_at=first, **shared
        )
    )
    site.learn(decision("review", "red-desert", trigger="breaker", policy="3f9a1c77", event_id="e-1"))
    site.learn(decision("blocked", "pine-valley", timedelta(hours=2), **shared))
    site.learn(decision("unblocked", "pine-valley", timedelta(hours=1), trigger="moderator"))
    desk = (await ask(app, "/moderation")).text
    lists = dict(zip(("queue", "blocks", "kept", "others"), desk.split("<section")[1:], strict=True))
    for picture in PICTURES:
        assert desk.count(f'id="case-{picture}"') == 1
    assert 'id="case-red-desert"' in lists["queue"]
    assert ("number 1, rules 3f9a1c77" in lists["queue"], "e-1" in lists["queue"]) == (True, True)
    assert "16 accounts, counted as 5" in lists["blocks"]
    assert '<time datetime="2026-11-20T23:30:00.000+00:00" data-as="moment">' in lists["blocks"]
    # A verdict can be changed, and who changes it sees why the picture was blocked.
    assert 'aria-label="Block “Pine valley”"' in lists["kept"]
    assert "Keep “Pine valley”" not in lists["kept"]
    assert "16 accounts, counted as 5" in lists["kept"]
    assert "Keep: show it again, “Still lake”" in lists["blocks"]
    for label in ("Keep", "Block"):
        assert f">{label}</button>" in lists["queue"]
        assert f'aria-label="{label} “First snow”"' in lists["others"]


async def test_the_desk_tells_a_verdict_that_the_service_has_not_answered(app: Any) -> None:
    site: Site = app.state.site
    site.learn(decision("blocked", "still-lake", timedelta(hours=1), automated=True, trigger="threshold"))
    site.learn(Verdict("still-lake", True, site.now()))
    site.learn(Verdict("red-desert", False, site.now()))
    # Long ago upheld here, then cleared by another program, and the protection is over.
    site.learn(Verdict("pine-valley", False, site.now() - timedelta(days=50)))
    site.learn(decision("unblocked", "pine-valley", timedelta(days=40), trigger="moderator"))
    desk = (await ask(app, "/moderation")).text
    assert desk.count("the service hasn\u2019t answered yet") == 2


async def test_a_change_of_the_language_keeps_the_form(app: ASGIApp) -> None:
    asked = "picture=red-desert&accounts=7&origin=shared&pace=slow&lang=fr"
    page = (await ask(app, f"/brigade?{asked}")).text
    for chosen in ('id="picture-red-desert"', 'id="origin-shared"', 'id="pace-slow"'):
        assert " checked" in page[page.index(chosen) :].partition(">")[0]
    assert 'name="accounts" id="accounts" min="1" max="50" value="7"' in page
    assert 'form="brigade" formmethod="get" formaction="/brigade"' in page
    form = (await ask(app, "/report/red-desert?reason=hate&lang=fr")).text
    assert " checked" in form[form.index('id="reason-hate"') :].partition(">")[0]
    # And what was confirmed stays, in the other language.
    assert (
        'href="/?lang=fr&amp;reported=red-desert"' in (await ask(app, "/?lang=en&reported=red-desert")).text
    )


async def test_the_brigade_page_leads_to_the_figures(app: ASGIApp) -> None:
    page = (await ask(app, "/brigade")).text
    assert 'href="/brigade/figures"' in page
    figures = await ask(app, "/brigade/figures")
    assert figures.status == 200
    assert figures.text.startswith("# Choosing the policy")
