"""Telemetry: the metrics' vocabulary and log lines, as an operator meets them."""

import io
import json
import logging
import re
import warnings

import pytest
import structlog

from image_moderation.domain.message import DeadLetterReason
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Outcome
from image_moderation.domain.text import plain
from image_moderation.telemetry import logs
from image_moderation.telemetry.metrics import Metrics

DESIGNED = (
    "batch_reports",
    "block_threshold",
    "clock_offset_seconds",
    "breaker_open",
    "build_info",
    "dead_letters_total",
    "decision_latency_seconds",
    "decisions_total",
    "intake_lag",
    "intake_oldest_pending_age_seconds",
    "intake_pending",
    "outbox_oldest_age_seconds",
    "outbox_pending",
    "policy_info",
    "oldest_unanswered_review_age_seconds",
    "ready",
    "report_age_seconds",
    "reports_total",
    "store_call_seconds",
    "dead_letter_flood",
    "channel_ahead_seconds",
    "deleted_unread_total",
    "unroutable_total",
    "verdicts_total",
)
OUTCOMES = (
    "counted",
    "duplicate",
    "already_blocked",
    "late",
    "retracted",
    "retracted_before",
    "stale",
    "held",
    "dead_letter",
)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="1.2.3", policy=Policy())


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"moderation_{name}", labels)


# --- metrics


def test_the_vocabulary(metrics: Metrics) -> None:
    text = metrics.render("")[0].decode()
    named = set(re.findall(r"^# HELP moderation_(\w+)", text, re.MULTILINE))
    assert named == set(DESIGNED)
    for name in DESIGNED:
        assert f"\nmoderation_{name}" in text
    assert "_created" not in text
    assert value(metrics, "block_threshold") == 5
    assert 'moderation_build_info{python="' in text
    assert 'version="1.2.3"} 1.0' in text
    assert f'\nmoderation_policy_info{{hash="{Policy().hash}"}} 1.0\n' in text


def test_known_series_start_at_zero(metrics: Metrics) -> None:
    assert {value(metrics, "reports_total", outcome=outcome) for outcome in OUTCOMES} == {0}
    assert value(metrics, "dead_letters_total", reason="too_many_deliveries") == 0
    for mode in ("live", "shadow"):
        for decision, trigger in (
            ("block", "threshold"),
            ("block", "moderator"),
            ("unblock", "moderator"),
            ("request_review", "review_threshold"),
            ("request_review", "urgent_reason"),
            ("request_review", "breaker"),
        ):
            assert value(metrics, "decisions_total", decision=decision, trigger=trigger, mode=mode) == 0
    for outcome in ("upheld", "cleared", "stale", "duplicate"):
        assert value(metrics, "verdicts_total", outcome=outcome) == 0
    for outcome in ("upheld", "cleared", "ticked"):
        assert value(metrics, "reports_total", outcome=outcome) is None, "no report has it"


def test_two_instances_share_nothing(metrics: Metrics) -> None:
    metrics.reports({Outcome.COUNTED: 3, Outcome.HELD: 1})
    assert value(metrics, "reports_total", outcome="counted") == 3
    assert value(Metrics(version="1", policy=Policy()), "reports_total", outcome="counted") == 0


def test_each_metric_shows_what_was_set(metrics: Metrics) -> None:
    metrics.dead_letter(DeadLetterReason.NOT_JSON)
    metrics.batch(7)
    metrics.store_call(0.004)
    metrics.report_age(90)
    metrics.decision("block", "threshold")
    metrics.decision("unblock", "moderator", "shadow")
    metrics.verdicts({Outcome.CLEARED: 2, Outcome.STALE: 1})
    metrics.review_age(3_600)
    metrics.breaker(True)
    metrics.decision_latency(0.02)
    metrics.outbox(2, 1.5)
    metrics.intake(None, 3, 4.5)
    metrics.ready(True)
    assert value(metrics, "dead_letters_total", reason="not_json") == 1
    assert value(metrics, "reports_total", outcome="dead_letter") == 1
    assert value(metrics, "batch_reports_sum") == 7
    assert value(metrics, "store_call_seconds_bucket", le="0.005") == 1
    assert value(metrics, "report_age_seconds_sum") == 90
    assert value(metrics, "decisions_total", decision="block", trigger="threshold", mode="live") == 1
    assert value(metrics, "decisions_total", decision="unblock", trigger="moderator", mode="shadow") == 1
    assert value(metrics, "verdicts_total", outcome="cleared") == 2
    assert value(metrics, "oldest_unanswered_review_age_seconds") == 3_600
    assert value(metrics, "breaker_open") == 1
    assert value(metrics, "decision_latency_seconds_count") == 1
    assert (value(metrics, "outbox_pending"), value(metrics, "outbox_oldest_age_seconds")) == (2, 1.5)
    assert "moderation_intake_lag NaN" in metrics.render("")[0].decode()
    assert (value(metrics, "intake_pending"), value(metrics, "intake_oldest_pending_age_seconds")) == (3, 4.5)
    assert value(metrics, "ready") == 1


@pytest.mark.parametrize("size", [1, 7, 250, 5_000])
@pytest.mark.parametrize("dead_letters_first", [True, False])
def test_a_flood_is_more_than_half_of_the_last_thousand(
    metrics: Metrics, size: int, dead_letters_first: bool
) -> None:
    def feed(messages: int, malformed_of_ten: int) -> None:
        for number in range(messages // size):
            malformed = sum((number * size + place) % 10 < malformed_of_ten for place in range(size))
            if not dead_letters_first:
                metrics.reports({Outcome.COUNTED: size - malformed})
            for _ in range(malformed):
                metrics.dead_letter(DeadLetterReason.NOT_JSON)
            if dead_letters_first:
                metrics.reports({Outcome.COUNTED: size - malformed})

    for malformed_of_ten, flooded in ((0, 0), (4, 0), (6, 1), (1, 0)):
        if size < 1_000:  # within a larger batch, the order is that of the calls
            feed(10_000, malformed_of_ten)
            assert value(metrics, "dead_letter_flood") == flooded
    feed(10_000, 0)
    assert value(metrics, "dead_letter_flood") == 0
    feed(10_000, 10)
    assert value(metrics, "dead_letter_flood") == 1


def test_the_flood_ends_with_the_message_that_makes_it_half(metrics: Metrics) -> None:
    for number in range(501):  # nor are a few malformed ones at the start a flood
        assert value(metrics, "dead_letter_flood") == 0, number
        metrics.dead_letter(DeadLetterReason.EMPTY)
    metrics.reports({Outcome.COUNTED: 300, Outcome.LATE: 199})
    assert value(metrics, "dead_letter_flood") == 1
    metrics.reports({Outcome.COUNTED: 1})
    assert value(metrics, "dead_letter_flood") == 0


@pytest.mark.parametrize(
    ("accept", "content_type", "end"),
    [
        ("", "text/plain; version=0.0.4", False),
        (
            "application/openmetrics-text;version=1.0.0,text/plain",
            "application/openmetrics-text; version=1.0.0",
            True,
        ),
    ],
)
def test_render(metrics: Metrics, accept: str, content_type: str, end: bool) -> None:
    body, answered = metrics.render(accept)
    assert answered.startswith(content_type)
    assert body.endswith(b"# EOF\n") is end


# --- logs


def test_log_lines_are_json_and_hold_no_payload() -> None:
    stream = io.StringIO()
    logs.configure("info", None, stream)
    structlog.get_logger("image_moderation.x").info("stored", reports=3, extra={"channel": "image.reported"})
    structlog.get_logger("image_moderation.x").debug("not shown")
    logging.getLogger("faststream").info("Received %s", "it", extra={"message_id": "1-0"})
    payload = "hunter2"
    try:
        raise ValueError("wrong")
    except ValueError:
        structlog.get_logger("image_moderation.x").exception("failed")
        logging.getLogger("redis").exception("failed too")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["stored", "Received it", "failed", "failed too"]
    assert lines[0] | {"timestamp": "", "reports": 3, "channel": "image.reported"} == lines[0] | {
        "timestamp": ""
    }
    assert lines[0]["timestamp"].endswith("Z")
    assert (lines[1]["level"], lines[1]["logger"], lines[1]["message_id"]) == ("info", "faststream", "1-0")
    assert [line["exception"][0]["exc_type"] for line in lines[2:]] == ["ValueError", "ValueError"]
    assert payload not in stream.getvalue()


def test_console_lines_hold_no_payload() -> None:
    stream = io.StringIO()
    logs.configure("info", "console", stream)
    payload = {"reporter_id": "hunter2"}
    try:
        raise ValueError(len(payload))
    except ValueError:
        structlog.get_logger("image_moderation.x").exception("failed", image=1)
    assert "failed" in stream.getvalue()
    assert "Traceback" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_console_lines_hold_nothing_that_changes_how_they_are_read() -> None:
    stream = io.StringIO()
    logs.configure("info", "console", stream)
    evil = "a\u202eb\u200bc\u2028d\u0085e\ufefff\x1b[31mg\n2026-11-26 [info] forged"
    structlog.get_logger("image_moderation.x").info("decision", image_id=evil, more=[evil])
    logging.getLogger("redis").warning(evil, extra={evil: evil})
    try:
        raise ValueError(evil)
    except ValueError:
        structlog.get_logger("image_moderation.x").exception("failed")
        logging.getLogger("redis").exception("failed")
    shown = stream.getvalue()
    assert all(character.isprintable() for character in shown.replace("\n", ""))
    assert sum(line.startswith("20") for line in shown.split("\n")) == 4, "a line each"
    assert plain(evil) in shown
    assert plain("façade 図") == "façade 図"


def test_configuring_twice_logs_once() -> None:
    logs.configure("info", "json", io.StringIO())
    stream = io.StringIO()
    logs.configure("warning", "json", stream)
    structlog.get_logger("image_moderation.x").info("not shown")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("a warning is a log line", UserWarning, stacklevel=1)
    (line,) = stream.getvalue().splitlines()
    assert "a warning is a log line" in json.loads(line)["event"]
