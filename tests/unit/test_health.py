"""Readiness: the checks of /readyz."""

import pytest
import structlog

from image_moderation.telemetry.health import DRAINING, Health


def test_health_is_ready_once_every_check_is_ok() -> None:
    changes: list[bool] = []
    health = Health(on_ready=changes.append)
    assert health.report() == {
        "status": "unavailable",
        "checks": dict.fromkeys(("broker", "store", "channels", "intake", "outbox"), "starting"),
    }
    for name in ("broker", "store", "channels", "intake", "outbox"):
        health.set(name, True)
    assert health.ready
    assert health.report()["status"] == "ok"
    health.set("store", False, "Connection to redis://u:hunter2@h:6379\nrefused")
    assert health.report()["checks"]["store"] == "Connection to redis://***@h:6379 refused"
    health.set("store", False, "ok")
    assert health.report()["checks"]["store"] == "unavailable"
    assert changes == [False, True, False]
    with pytest.raises(KeyError):
        health.set("stoer", True)


def test_health_logs_a_change_once_and_an_outage_again_each_minute() -> None:
    time = 5.0
    with structlog.testing.capture_logs() as lines:
        health = Health(("store",), now=lambda: time)
        for second in range(150):
            time = 5.0 + second
            health.set("store", False, f"away for {second} s")
        for _ in range(3):
            health.set("store", True)
        health.set("store", False, "away again")
    assert [(line["event"], line.get("error")) for line in lines] == [
        ("check_failed", "away for 0 s"),
        ("check_failed", "away for 60 s"),
        ("check_failed", "away for 120 s"),
        ("check_ok", None),
        ("ready", None),
        ("check_failed", "away again"),
        ("not_ready", None),
    ]


def test_a_normal_stop_is_no_failed_check() -> None:
    with structlog.testing.capture_logs() as lines:
        health = Health(("intake",))
        health.set("intake", True)
        health.set("intake", False, DRAINING)
    assert {line["log_level"] for line in lines} == {"info"}
    assert health.report()["checks"]["intake"] == "draining"


def test_a_check_whose_answer_is_overdue_fails_until_it_comes() -> None:
    time = 0.0
    health = Health(("store", "broker", "outbox"), now=lambda: time)
    health.set("outbox", True)
    health.set("store", True)
    time = 3.0
    health.set("broker", True)
    time = 4.0
    health.expire(("store", "broker"), 3.5)
    assert health.report()["checks"] == {"store": "no answer for 3.5 s", "broker": "ok", "outbox": "ok"}
    health.set("store", True)
    assert health.ready


def test_a_check_that_was_not_ok_keeps_its_reason() -> None:
    time = 0.0
    health = Health(("store", "broker"), now=lambda: time)
    health.set("store", False, "refused")
    time = 60.0
    health.expire(("store", "broker"), 3.5)
    assert health.report()["checks"] == {"store": "refused", "broker": "starting"}
