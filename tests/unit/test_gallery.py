"""The gallery's rules without a browser: what it believes, whom it lets in, what it says."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Formatter
from typing import Any, cast
from xml.etree import ElementTree as ET

import pytest
from jsonschema import Draft202012Validator
from starlette.datastructures import Headers
from starlette.types import ASGIApp

from examples.gallery import brigade
from examples.gallery.app import build
from examples.gallery.broker import connect
from examples.gallery.events import Decision, Verdict, parse, report_event, stamp, verdict_event
from examples.gallery.exhibition import Exhibition
from examples.gallery.guard import from_this_site
from examples.gallery.journal import Accounts
from examples.gallery.pictures import PICTURES
from examples.gallery.scenery import draw
from examples.gallery.site import REASONS, Settings, Site
from examples.gallery.texts import load, preferred
from examples.gallery.typography import typeset
from examples.gallery.visitors import network_group, reporter_id
from tests.support.asgi import ask

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def decision(kind: str, second: int, image: str = "img", **more: Any) -> Decision:
    at = stamp(NOON + timedelta(seconds=second))
    return Decision(kind=cast("Any", kind), image_id=image, decided_at=at, revision=1, **more)


def verdict(second: int, *, cleared: bool) -> Verdict:
    return Verdict("img", cleared, NOON + timedelta(seconds=second))


# What the site believes


def test_any_order_and_repetition_of_events_ends_the_same() -> None:
    events = [
        decision("blocked", 1),
        decision("unblocked", 2),
        decision("blocked", 3),
        decision("blocked", 1),
    ]
    for order in itertools.permutations(events):
        exhibition = Exhibition(["img"])
        for event in order:
            exhibition.apply(event)
        assert exhibition.blocked("img") == events[2]
    for order in itertools.permutations(events[:2]):
        exhibition = Exhibition(["img"])
        for event in order:
            exhibition.apply(event)
        assert exhibition.blocked("img") is None


def test_what_is_known_already_is_no_news() -> None:
    exhibition = Exhibition(["img"])
    assert exhibition.apply(decision("blocked", 2))
    assert not exhibition.apply(decision("blocked", 2))
    assert not exhibition.apply(decision("unblocked", 1))
    assert not exhibition.apply(decision("blocked", 9, image="of another site"))


@pytest.mark.parametrize(
    ("answer", "waits"),
    [
        (None, True),
        (decision("blocked", 1), True),
        (decision("blocked", 3), False),
        (decision("unblocked", 3), False),
        (verdict(1, cleared=True), True),
        (verdict(2, cleared=False), False),
        (verdict(3, cleared=True), False),
    ],
)
def test_a_later_decision_or_verdict_answers_a_request(
    answer: Decision | Verdict | None, waits: bool
) -> None:
    request = decision("review", 2)
    for order in itertools.permutations([request, answer] if answer else [request]):
        exhibition = Exhibition(["img"])
        for event in order:
            exhibition.apply(event)
        assert exhibition.queue() == ([request] if waits else [])


def test_of_verdicts_the_newest_stands_and_at_the_same_time_upheld() -> None:
    for order in itertools.permutations(
        [verdict(1, cleared=False), verdict(2, cleared=True), verdict(2, cleared=False)]
    ):
        exhibition = Exhibition(["img"])
        for event in order:
            exhibition.apply(event)
        assert exhibition.verdict("img") == verdict(2, cleared=False)


def test_every_decision_of_the_contract_is_understood() -> None:
    for name, kind in (
        ("blocked", "blocked"),
        ("blocked-by-moderator", "blocked"),
        ("blocked-unknown-fields", "blocked"),
        ("review-requested", "review"),
    ):
        body = (ROOT / "contracts" / "examples" / "valid" / f"{name}.json").read_bytes()
        event, told = json.loads(body), parse(body, NOON)
        assert isinstance(told, Decision)
        assert (told.kind, told.image_id) == (kind, event["data"]["image_id"])
        assert told.distinct_reporters == event["data"]["distinct_reporters"]
        assert told.reasons == event["data"]["reasons"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        b"\xff",
        b'{"type": "image.blocked.v2", "data": {"image_id": "a", "decided_at": "2026-11-23T10:00:00.000Z"}}',
        b'{"type": "image.blocked.v1", "data": {"image_id": "a", "decided_at": "soon", "revision": 1}}',
        b'{"type": "image.blocked.v1", "data": {"image_id": "a", "decided_at": "2026-13-01T00:00:00.000Z"}}',
        b'{"type": "image.blocked.v1", "data": {"image_id": "a", "decided_at": 7, "revision": 1}}',
        b'{"type": "image.blocked.v1", "data": {"image_id": [], "decided_at": "2026-11-23T10:00:00.000Z"}}',
        b'{"type": "image.reviewed.v1", "data": {"image_id": "a", "verdict": "unsure"}}',
        b'{"type": "image.reviewed.v1", "time": "2026-11-23", "data": {"image_id":"a", "verdict": "upheld"}}',
    ],
)
def test_what_is_not_known_is_passed_over(body: bytes) -> None:
    assert parse(body, NOON) is None


def test_what_the_site_sends_fits_the_contract() -> None:
    report = report_event(
        event_id="r", image_id="still-lake", reporter_id="visitor", reason="spam", at=NOON, reporter_group="g"
    )
    judged = verdict_event(event_id="v", image_id="still-lake", cleared=True, at=NOON)
    for event_type, body in (("image.reported.v1", report), ("image.reviewed.v1", judged)):
        schema = json.loads((ROOT / "contracts" / "schemas" / f"{event_type}.schema.json").read_text())
        Draft202012Validator(schema).validate(json.loads(body))
    assert json.loads(report)["time"] == "2026-11-23T12:00:00.000Z"
    assert parse(judged, NOON) == Verdict("still-lake", True, NOON)


# Whom it lets in, and what it tells them


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
    assert "The reports could not be sent. Nothing happened." in page.text


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


# What it says


def test_every_text_stands_in_both_languages_and_takes_the_same_values() -> None:
    texts = {language: one._texts for language, one in load().items()}
    assert texts["en"].keys() == texts["fr"].keys()
    for key, text in texts["en"].items():
        names = [
            sorted(part[1] for part in Formatter().parse(one) if part[1]) for one in (text, texts["fr"][key])
        ]
        assert names[0] == names[1], key
    for reason in REASONS:
        assert f"reason_{reason}" in texts["en"]


def test_typography() -> None:
    assert typeset("L'image ? « Oui » : {n} jours !", "fr") == (
        "L\u2019image\u202f? «\u00a0Oui\u00a0»\u00a0: {n}\u00a0jours\u202f!"
    )
    assert typeset("It's one: two!", "en") == "It\u2019s one: two!"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("*", "en"),
        ("de", "en"),
        ("fr", "fr"),
        ("fr-CA,en;q=0.8", "fr"),
        ("en;q=0.3, FR;q=0.7", "fr"),
        ("fr;q=0", "en"),
        ("fr;q=much", "en"),
        ("de, fr;q=0.5", "fr"),
    ],
)
def test_the_language_a_browser_prefers(header: str, language: str) -> None:
    assert preferred(header) == language


def test_spans_are_said_in_their_largest_unit() -> None:
    t = load()["en"]
    spans = [timedelta(days=30), timedelta(days=1), timedelta(hours=36), timedelta(seconds=90)]
    assert [t.span(span) for span in spans] == ["30 days", "one day", "36 hours", "90 seconds"]


def known(*, cleared_at: datetime | None = None) -> brigade.Known:
    return brigade.Known(blocked=False, cleared_at=cleared_at)


def test_silence_is_explained_by_what_was_sent(app: Any) -> None:
    site: Site = app.state.site

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
    site.learn(decision("review", 1, "still-lake", threshold=5, distinct_reporters=3))
    assert why(many, known()) == ["log_silent_unknown"]
    assert why(Accounts(4, shared=False, slow=False), known()) == ["log_silent_few_of"]


def test_pictures_are_the_same_everywhere_and_need_nothing_from_elsewhere() -> None:
    for picture in PICTURES.values():
        assert picture.svg == draw(picture.scene).encode()
        ET.fromstring(picture.svg)
        assert picture.svg.count(b"http") == 1  # the name of SVG itself
        assert all(picture.titles[language] and picture.descriptions[language] for language in ("en", "fr"))
