"""Tracing never stops the service: whatever OpenTelemetry's variables hold, there is at most one warning."""

import logging
import os
from collections.abc import Iterator

import pytest
import structlog

from image_moderation.telemetry.tracing import Spans, make_tracing

COLLECTOR = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def library_lines() -> Iterator[list[logging.LogRecord]]:
    """What the library itself logs, past this service."""
    lines: list[logging.LogRecord] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record)

    root, handler = logging.getLogger(), Collect(logging.WARNING)
    root.addHandler(handler)
    yield lines
    root.removeHandler(handler)


def start(monkeypatch: pytest.MonkeyPatch, **variables: str) -> tuple[bool, list[str], str]:
    """Return whether spans are sent, the events that were logged, and the text of the first."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with structlog.testing.capture_logs() as lines:
        tracing = make_tracing(os.environ, "1.2.3")
    tracing.stop()
    return isinstance(tracing, Spans), [line["event"] for line in lines], str(lines[:1])


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {COLLECTOR: " "},
        {"OTEL_TRACES_EXPORTER": "otlp"},
        {COLLECTOR: "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "none"},
        {COLLECTOR: "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "True"},
        {COLLECTOR: "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true", "OTEL_BSP_MAX_QUEUE_SIZE": "0"},
    ],
)
def test_it_is_off_where_nobody_asks_for_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    assert start(monkeypatch, **variables)[:2] == (False, [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "console"),
        ("OTEL_TRACES_EXPORTER", "otlp,console"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        (COLLECTOR, "collector:4318"),
        (COLLECTOR, "http://collector:port"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://collector"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "99999"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many"),
        ("OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER", "unknown"),
    ],
)
def test_a_value_that_cannot_be_used_turns_it_off_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, library_lines: list[logging.LogRecord], name: str, value: str
) -> None:
    spans, events, _ = start(monkeypatch, **{COLLECTOR: "http://127.0.0.1:9", name: value})
    assert (spans, events, library_lines) == (False, ["tracing_off"], [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "soon"),
        ("OTEL_TRACES_SAMPLER", "unknown"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "unknown"),
        ("OTEL_RESOURCE_ATTRIBUTES", "no-pair"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "tenant=1, hunter2"),
    ],
)
def test_a_value_that_the_library_replaces_is_one_warning_without_secrets(
    monkeypatch: pytest.MonkeyPatch, library_lines: list[logging.LogRecord], name: str, value: str
) -> None:
    spans, events, first = start(monkeypatch, **{COLLECTOR: "http://127.0.0.1:9", name: value})
    assert (spans, events, library_lines) == (True, ["tracing_variable_ignored", "tracing_on"], [])
    assert "hunter2" not in first
