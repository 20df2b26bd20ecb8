"""The gallery's rules without a browser: what it believes of each picture, and its words."""

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Formatter
from typing import Any, cast
from xml.etree import ElementTree as ET

import pytest
from jsonschema import Draft202012Validator

from examples.gallery.events import (
    Decision,
    Report,
    Verdict,
    parse,
    report_event,
    retraction_event,
    stamp,
    verdict_event,
)
from examples.gallery.exhibition import Exhibition
from examples.gallery.marks import Marks
from examples.gallery.pictures import PICTURES
from examples.gallery.scenery import draw
from examples.gallery.site import REASONS
from examples.gallery.standing import Rules, standing
from examples.gallery.texts import load, preferred
from examples.gallery.typography import typeset

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


# What is true of a picture, for one visitor

RULES = Rules(window=timedelta(days=30), immunity=timedelta(days=30))
BLOCKED, UNBLOCKED = decision("blocked", 5), decision("unblocked", 6, trigger="moderator")
CLEARED, UPHELD = verdict(7, cleared=True), verdict(8, cleared=False)
ASKED = decision("review", 4, trigger="review_threshold", distinct_reporters=3, threshold=5)
ENOUGH = decision("review", 4, trigger="review_threshold", distinct_reporters=5, threshold=5)
BREAKER = decision("review", 4, trigger="breaker", distinct_reporters=3, threshold=5)
HOUR, MONTH = timedelta(hours=1), timedelta(days=31)


@pytest.mark.parametrize(
    ("events", "later", "rules", "state"),
    [
        ([], HOUR, RULES, "open"),
        ([BLOCKED], HOUR, RULES, "blocked"),
        ([BLOCKED, UNBLOCKED, CLEARED], HOUR, RULES, "cleared"),
        ([BLOCKED, UNBLOCKED], HOUR, RULES, "cleared"),  # another program's verdict, trimmed already
        ([BLOCKED, UNBLOCKED, CLEARED], MONTH, RULES, "open"),
        ([CLEARED], HOUR, RULES, "cleared"),
        ([BLOCKED, CLEARED], HOUR, RULES, "blocked"),  # the service hasn't answered yet
        ([UNBLOCKED, CLEARED, UPHELD], HOUR, RULES, "open"),
        # The promise holds although a moderator was asked, too; except where the block is withheld.
        ([ASKED], HOUR, RULES, "open"),
        ([ASKED], HOUR, replace(RULES, review_grace=2 * HOUR), "withheld"),
        ([ASKED], 3 * HOUR, replace(RULES, review_grace=2 * HOUR), "open"),
        ([ENOUGH], HOUR, RULES, "withheld"),
        ([BREAKER], HOUR, RULES, "withheld"),
        ([BREAKER, BLOCKED], HOUR, RULES, "blocked"),
        ([BREAKER, CLEARED], HOUR, RULES, "cleared"),
    ],
)
def test_the_state_that_the_pages_speak_of(
    events: list[Decision | Verdict], later: timedelta, rules: Rules, state: str
) -> None:
    for order in itertools.permutations(events):
        exhibition = Exhibition(["img"])
        for event in order:
            exhibition.apply(event)
        told = standing(exhibition, "img", None, NOON + later, rules)
        assert (told.state, told.reported) == (state, False)
        assert (told.until is not None) == (state == "cleared")


def test_a_report_is_marked_until_it_is_taken_back_or_counts_no_more() -> None:
    def reported(later: timedelta, *events: Verdict) -> bool:
        exhibition = Exhibition(["img"])
        for event in events:
            exhibition.apply(event)
        return standing(exhibition, "img", marks.report("me", "img"), NOON + later, RULES).reported

    report = Report("img", "me", NOON, "spam")
    marks = Marks(["img"])
    assert marks.apply(report)
    assert not marks.apply(report)  # read again from the stream
    assert not marks.apply(Report("elsewhere", "me", NOON))
    assert marks.report("you", "img") is None
    assert reported(HOUR)
    assert not reported(MONTH)
    assert reported(HOUR, verdict(5, cleared=True))
    assert not reported(timedelta(days=30, seconds=6), verdict(5, cleared=True))
    # At the same time the retraction counts, in any order; a later report is a new one.
    back, again = replace(report, retracted=True), replace(report, at=NOON + HOUR)
    for order in itertools.permutations([report, back]):
        marks = Marks(["img"])
        for event in order:
            marks.apply(event)
        assert not reported(HOUR)
    assert marks.apply(again)
    assert reported(HOUR)


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
        assert (told.policy, told.event_id) == (event["data"]["policy"], event["id"])


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
    back = retraction_event(event_id="b", image_id="still-lake", reporter_id="visitor", at=NOON)
    for event_type, body in (
        ("image.reported.v1", report),
        ("image.report-retracted.v1", back),
        ("image.reviewed.v1", judged),
    ):
        schema = json.loads((ROOT / "contracts" / "schemas" / f"{event_type}.schema.json").read_text())
        Draft202012Validator(schema).validate(json.loads(body))
    assert json.loads(report)["time"] == "2026-11-23T12:00:00.000Z"
    assert parse(judged, NOON) == Verdict("still-lake", True, NOON)
    assert parse(report, NOON) == Report("still-lake", "visitor", NOON, "spam")
    assert parse(back, NOON) == Report("still-lake", "visitor", NOON, retracted=True)


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


def test_the_thanks_are_the_words_of_the_sites_owner() -> None:
    texts = load()
    assert texts["en"]("thanks") == (
        "Thanks for reporting! This image will be blocked automatically once several people have reported it."
    )
    assert texts["fr"]("thanks") == (
        "Merci d'avoir signalé ! Cette image sera automatiquement bloquée après qu'elle soit signalée "
        "par plusieurs personnes."
    )


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


def test_pictures_are_the_same_everywhere_and_need_nothing_from_elsewhere() -> None:
    for picture in PICTURES.values():
        assert picture.svg == draw(picture.scene).encode()
        ET.fromstring(picture.svg)
        assert picture.svg.count(b"http") == 1  # the name of SVG itself
        assert all(picture.titles[language] and picture.descriptions[language] for language in ("en", "fr"))
