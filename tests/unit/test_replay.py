"""The replay of recorded events: what a line is, what is counted, and what is forgotten."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from image_moderation.backtest.measures import WIDTHS, Spread, Timeline
from image_moderation.backtest.recording import Recording, Refused, in_order, merged
from image_moderation.backtest.replay import Replay
from image_moderation.backtest.run import Setting
from image_moderation.backtest.summary import why
from image_moderation.domain.clock import DAY, HOUR
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Report, Review, Verdict

START = 1_760_000_000_000
NOW = START + 400 * DAY
MINUTE = 60_000


def setting(name: str = "one", keeps: int = 37 * DAY, **options: Any) -> Setting:
    return Setting(name, Policy(**{"block_threshold": 3, **options}), keeps, 365 * DAY)


def report(image: str, who: str, at: int, **more: Any) -> Report:
    return Report(image, who, START + at, START + at, **more)


def reports(image: str, count: int, at: int = 0) -> list[Report | Review]:
    """Different people, a minute apart."""
    return [report(image, f"user-{n}", at + n * MINUTE) for n in range(count)]


def verdict(image: str, given: Verdict, at: int) -> Review:
    return Review(image, START + at, START + at, given)


def replay(events: Iterable[Report | Review], *settings: Setting, keep: int = 0) -> Replay:
    made = Replay(settings or (setting(),), keep_differences=keep)
    for event in events:
        made.add(event)
    return made


def ended(events: Iterable[Report | Review], *settings: Setting, keep: int = 0) -> Replay:
    made = replay(events, *settings, keep=keep)
    made.end()
    return made


# --- lines


def body(**changes: Any) -> dict[str, Any]:
    data = {"image_id": "img-1", "reporter_id": "user-1"}
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "image.reported.v1", "data": data}
    return event | changes


def rfc(at: int) -> str:
    return datetime.fromtimestamp((START + at) / 1000, UTC).isoformat()


def read(*lines: Any) -> tuple[list[Report | Review], Refused]:
    refused = Refused()
    recording = Recording("f", now=NOW, max_bytes=65_536, refused=refused)
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    return list(recording.events(enumerate(raw, 1))), refused


REVIEWED = {"type": "image.reviewed.v1", "data": {"image_id": "img-1", "verdict": "cleared"}}


@pytest.mark.parametrize(
    ("line", "arrived", "time"),
    [
        (body(time=rfc(0), arrived=START + 5), 5, 0),
        (body(time=rfc(0), arrived=rfc(5_000)), 5_000, 0),
        (body(time=rfc(9_000), arrived=START + 5), 5, 5),
        (body(arrived=START + 5), 5, 5),
        (body(time=rfc(7)), 7, 7),
        (body(time=rfc(7), arrived=None), 7, 7),
        ({"arrived": START + 5, "channel": "image.reported", "body": json.dumps(body(time=rfc(1)))}, 5, 1),
        ({"arrived": START + 5, "channel": "image.reported", "body": body(time=rfc(1))}, 5, 1),
    ],
)
def test_a_line_says_when_its_event_arrived(line: Any, arrived: int, time: int) -> None:
    (event,), refused = read(line)
    assert (event.arrived - START, event.time - START) == (arrived, time)
    assert not refused.counts


def test_verdicts_and_binary_mode_are_read_as_the_service_reads_them() -> None:
    headers = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/s", "ce_type": "image.reviewed.v1"}
    binary = {"arrived": START, "channel": "image.reviewed", "headers": headers, "body": REVIEWED["data"]}
    (structured, from_headers), refused = read(body(**REVIEWED, time=rfc(0)), binary)
    assert structured == from_headers == verdict("img-1", Verdict.CLEARED, 0)
    assert not refused.counts


def test_lines_without_arrival_go_in_their_order_and_the_clock_does_not_go_back() -> None:
    events, _ = read(body(time=rfc(HOUR)), body(time=rfc(0)), body(), body(time=rfc(2 * HOUR)))
    assert [event.arrived - START for event in events] == [HOUR, HOUR, HOUR, 2 * HOUR]
    assert [event.time - START for event in events] == [HOUR, 0, HOUR, 2 * HOUR]


@pytest.mark.parametrize(
    ("line", "reason", "error"),
    [
        (b"no", "not_json", "a value was expected"),
        (b"[]", "not_an_event", "a JSON array"),
        (b"{}", "not_an_event", "required attributes are missing"),
        (b'{"specversion": "1.0\xff"}', "not_utf8", "byte"),
        (body(), "invalid", "time: is missing, and so is arrived"),
        (body(arrived=START // 1000), "invalid", "arrived: takes milliseconds"),
        (body(arrived=NOW + 2 * DAY), "invalid", "arrived: takes milliseconds"),
        (body(arrived="noon"), "invalid", "arrived: takes milliseconds"),
        (body(arrived=True), "invalid", "arrived: takes milliseconds"),
        (body(arrived=START, time=rfc(2 * DAY)), "time_in_future", "more than 24 hours"),
        (body(time=rfc(0), note="x" * 70_000), "too_large", "at most 65536"),
        ({"body": "{}", "channel": "image.reported"}, "invalid", "arrived"),
        ({"body": "{}", "channel": "image.blocked", "arrived": START}, "invalid", "channel: takes"),
        ({"body": "{}", "channel": "image.reported", "arrived": START, "headers": 1}, "invalid", "headers"),
    ],
)
def test_a_line_that_can_not_be_read_is_counted_with_its_number(line: Any, reason: str, error: str) -> None:
    events, refused = read(body(time=rfc(0)), b"", line)
    assert len(events) == 1 or line == body(), "a line without a time has that of the line before"
    if line == body():
        events, refused = read(line)
    assert refused.counts == {reason: 1}
    assert refused.places[reason] == ["f:3" if events else "f:1"]
    assert error in refused.errors[reason]


def test_events_are_put_in_the_order_of_arrival_as_far_as_is_read_ahead() -> None:
    given = [report("img-1", "user-1", at) for at in (0, 3, 1, 2, 9, 5, 4)]
    assert [event.arrived - START for event in in_order(given, ahead=3)] == [0, 1, 2, 3, 4, 5, 9]
    assert replay(given).out_of_order == 4


def test_several_recordings_are_joined_by_arrival() -> None:
    first, second = reports("img-1", 3), reports("img-2", 3, at=MINUTE // 2)
    assert [event.image_id for event in merged([iter(first), iter(second)])] == ["img-1", "img-2"] * 3


# --- what is counted


def test_a_block_is_counted_with_its_time_and_the_reports_it_took() -> None:
    events = reports("img-1", 3)
    events.insert(2, report("img-1", "user-0", MINUTE + 1))
    found = ended([*events, *reports("img-2", 2, at=HOUR)])
    measures = found.runs[0].measures
    assert found.images_reported == 2
    assert (measures.blocks, measures.images_blocked) == (1, 1)
    assert measures.time_to_block.quantile(0.5) == 2 * MINUTE
    assert measures.reports_needed.quantile(0.5) == 4
    assert measures.outcomes == {"counted": 5, "duplicate": 1}


def test_what_verdicts_say_about_blocks() -> None:
    events = [
        *reports("overturned", 3),
        *reports("upheld", 3, at=HOUR),
        verdict("overturned", Verdict.CLEARED, 2 * HOUR),
        verdict("upheld", Verdict.UPHELD, 2 * HOUR),
        verdict("upheld", Verdict.UPHELD, 3 * HOUR),
        *reports("overturned", 3, at=3 * DAY),
        verdict("moderator's", Verdict.UPHELD, 4 * DAY),
    ]
    measures = ended(events, setting(immunity=DAY)).runs[0].measures
    assert (measures.blocks, measures.images_blocked) == (3, 2)
    assert (measures.overturned, measures.upheld, measures.after_cleared) == (1, 1, 1)
    assert (measures.blocks_by_moderators, measures.unblocks) == (1, 1)


def test_the_queue_of_reviews_is_what_no_verdict_has_answered() -> None:
    events = [
        *reports("img-1", 2),
        *reports("img-2", 2, at=HOUR),
        verdict("img-1", Verdict.CLEARED, 2 * HOUR),
        *reports("img-3", 2, at=3 * HOUR),
    ]
    measures = ended(events, setting(review_threshold=2)).runs[0].measures
    assert measures.reviews == {"review_threshold": 3}
    assert (measures.greatest_queue, measures.queue) == (2, 2)


def test_a_withheld_block_comes_at_its_deadline_and_not_before() -> None:
    held = setting(review_threshold=2, review_grace=HOUR)
    events = reports("img-1", 3)
    waiting = ended([*events, report("img-9", "user-1", HOUR)], held).runs[0].measures
    assert (waiting.blocks, waiting.withheld) == (0, 1)
    after = ended([*events, report("img-9", "user-1", HOUR + MINUTE)], held).runs[0].measures
    assert (after.blocks, after.withheld) == (1, 0)
    assert after.time_to_block.quantile(0.5) == HOUR + MINUTE, (
        "from the first report, which came before the request"
    )


def test_the_breaker_lets_an_hours_blocks_pass_and_the_rest_as_room_comes() -> None:
    events = [one for number in range(4) for one in reports(f"img-{number}", 3)]
    events.sort(key=lambda one: one.arrived)
    held = setting(max_blocks_per_hour=2)
    first = replay(events, held)
    assert first.runs[0].measures.blocks == 2
    first.add(report("img-9", "user-1", HOUR))
    assert first.runs[0].measures.blocks == 2
    first.add(report("img-9", "user-1", HOUR + 2 * MINUTE + 20_000))
    assert first.runs[0].measures.blocks == 4
    assert first.runs[0].measures.reviews == {"breaker": 2}


def test_shadow_mode_counts_what_it_would_have_done() -> None:
    events = [*reports("img-1", 3), verdict("img-1", Verdict.CLEARED, HOUR)]
    measures = ended(events, setting(shadow=True)).runs[0].measures
    assert (measures.blocks, measures.overturned) == (1, 1)


def test_the_images_on_which_settings_differ_with_the_reason() -> None:
    strict, lax = setting("strict"), setting("lax", block_threshold=5)
    events = [*reports("both", 6), *reports("few", 3), *reports("more", 4), *reports("none", 2)]
    events.sort(key=lambda one: one.arrived)
    found = ended(events, strict, lax, keep=1)
    assert found.differences.count == 2
    (kept,) = found.differences.kept
    assert (kept.image_id, kept.reports) == ("more", 4)
    told = [why(ending, one.policy) for ending, one in zip(kept.endings, (strict, lax), strict=True)]
    assert told[0].startswith("blocked 2025-10-09T08:55:20.000Z by 3 of 3 reporters")
    assert told[1] == "not blocked: at most 4 of 5 reporters counted together"


# --- what is forgotten


def test_a_case_is_forgotten_when_its_key_would_expire() -> None:
    one = setting(report_window=365 * DAY, keeps=DAY)
    events = [report("img-1", "user-1", 0), report("img-1", "user-2", HOUR)]
    within = ended([*events, report("img-1", "user-3", DAY)], one).runs[0].measures
    assert within.blocks == 1
    after = ended([*events, report("img-1", "user-3", DAY + HOUR)], one).runs[0].measures
    assert after.blocks == 0


def test_memory_is_bounded_by_what_is_open() -> None:
    found = replay([report(f"img-{n}", "user-1", n * HOUR) for n in range(2_000)], setting(keeps=DAY))
    assert found.images_reported == 2_000
    assert len(found._images) <= 24 * 17 / 16 + 1


def test_settings_with_other_windows_forget_at_different_times() -> None:
    events = [report("img-1", "user-1", 0), report("img-1", "user-2", 0), report("img-1", "user-3", 2 * DAY)]
    found = ended(events, setting("short", keeps=DAY), setting("long", keeps=3 * DAY))
    assert [run.measures.blocks for run in found.runs] == [0, 1]


# --- numbers


def test_quantiles_are_exact_to_three_digits() -> None:
    spread = Spread()
    for value in range(1, 1001):
        spread.add(value * 1_000)
    assert [spread.quantile(share) for share in (0.001, 0.5, 0.9, 1)] == [1_000, 500_000, 900_000, 1_000_000]
    assert Spread().quantile(0.5) is None


def test_a_timeline_widens_its_bins_and_loses_nothing() -> None:
    timeline = Timeline()
    for day in range(0, 3_650, 10):
        timeline.add(START + day * DAY)
    assert timeline.width == WIDTHS[-2], "28 days"
    assert sum(count for _, count in timeline.bins()) == 365
