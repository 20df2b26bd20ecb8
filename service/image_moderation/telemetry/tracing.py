"""Spans for OpenTelemetry, off unless its own variables name an endpoint. Needs the extra `tracing`.

Whatever the environment holds, tracing never stops the service: what can't be used is one warning.

A decision's span continues the trace of the report that caused it, so whoever follows a report finds the
decision. FastStream's spans of a batch stand apart, because one batch holds reports of many traces.
"""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import structlog

from image_moderation.domain.decision import Decision

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
"""The one protocol that the extra installs an exporter for."""
HINT = "check the OTEL_ variables"
NAME = "image-moderation"
EXPORT_TIMEOUT = 2.0
"""Seconds for one export with its retries."""
STOP_TIMEOUT = 3.0
"""Seconds for all exports at the end: an absent collector must not delay the end of the process."""
_MILLISECOND = 1_000_000
"""In nanoseconds, the unit of a span's times."""

log = structlog.get_logger(__name__)


class Tracing:
    """Makes no spans. `Spans` does."""

    provider: Any = None
    """OpenTelemetry's TracerProvider; None where tracing is off."""

    def decision(self, decision: Decision, event_id: str, since: int, until: int) -> None:
        """See `outbox.ports.Tracing`."""

    def stop(self) -> None:
        """Send the spans that are not sent yet."""


class Spans(Tracing):
    """Sends spans to the endpoint that the environment names."""

    def __init__(self, version: str) -> None:
        """Raise whatever the library raises: it reads many variables, and has no error of its own."""
        # Imported only here, because the library is an extra.
        from opentelemetry import metrics  # noqa: PLC0415
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk import resources  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.trace import SpanKind  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
            TraceContextTextMapPropagator,
        )

        # FastStream's middleware asks for a meter too; here a wrong OTEL_PYTHON_METER_PROVIDER shows in time.
        metrics.get_meter(NAME)
        ours = resources.Resource({resources.SERVICE_NAME: NAME, resources.SERVICE_VERSION: version})
        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, which win.
        environment = resources.OTELResourceDetector().detect()
        self.provider = TracerProvider(resource=ours.merge(environment), shutdown_on_exit=False)
        self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=EXPORT_TIMEOUT)))
        self._tracer = self.provider.get_tracer(NAME, version)
        self._propagator = TraceContextTextMapPropagator()
        self._kind = SpanKind.PRODUCER

    def decision(self, decision: Decision, event_id: str, since: int, until: int) -> None:
        """See `outbox.ports.Tracing`."""
        carrier = {} if decision.traceparent is None else {"traceparent": decision.traceparent}
        span = self._tracer.start_span(
            f"decide {decision.action}",
            context=self._propagator.extract(carrier),
            kind=self._kind,
            start_time=since * _MILLISECOND,
            attributes={
                "moderation.image_id": decision.image_id,
                "moderation.action": decision.action,
                "moderation.trigger": decision.trigger,
                "moderation.revision": decision.revision,
                "moderation.distinct_reporters": decision.distinct_reporters,
                "messaging.message.id": event_id,
            },
        )
        span.end(max(since, until) * _MILLISECOND)

    def stop(self) -> None:
        """Send the spans that are not sent yet, within `STOP_TIMEOUT`: a full queue is several exports."""
        sending = threading.Thread(target=self.provider.shutdown, name="last-spans", daemon=True)
        sending.start()
        sending.join(STOP_TIMEOUT)


def make_tracing(environ: Mapping[str, str], version: str) -> Tracing:
    """Return the tracing that `environ` asks for; `version` is this service's."""
    if _is_off(environ):
        return Tracing()
    if wrong := _wrong(environ):
        return _off(wrong)
    with _complaints() as complaints:
        try:
            spans = Spans(version)
        except ImportError as error:
            log.warning(
                "tracing_not_installed", error=str(error), hint="in a checkout: pip install '.[tracing]'"
            )
            return Tracing()
        except Exception as error:  # noqa: BLE001 - see `Spans.__init__`
            return _off(_masked(f"{type(error).__name__}: {error}", environ))
    if complaints:
        log.warning("tracing_variable_ignored", error=_masked("; ".join(complaints), environ), hint=HINT)
    log.info("tracing_on")
    return spans


def _value(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, "").strip()


def _is_off(environ: Mapping[str, str]) -> bool:
    exporter = _value(environ, "OTEL_TRACES_EXPORTER").lower()
    if exporter == "none" or _value(environ, "OTEL_SDK_DISABLED").lower() == "true":
        return True
    return exporter in ("", "otlp") and not any(_value(environ, name) for name in ENDPOINTS)


def _wrong(environ: Mapping[str, str]) -> str:
    """Return what the library would not refuse at the start, though no span would arrive."""
    if _value(environ, "OTEL_TRACES_EXPORTER").lower() not in ("", "otlp"):
        return "OTEL_TRACES_EXPORTER names an exporter that is not supported; takes otlp or none"
    for name in PROTOCOLS:
        if _value(environ, name).lower() not in ("", PROTOCOL):
            return f"{name} names a protocol that is not supported; takes {PROTOCOL}"
    for name in ENDPOINTS:
        if endpoint := _value(environ, name):
            try:
                parts = urlsplit(endpoint)
                usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
            except ValueError:
                usable = False
            if not usable:
                return f"{name} is not the URL of a collector; takes http://host:4318 or https://host:4318"
    return ""


def _off(why: str) -> Tracing:
    log.warning("tracing_off", error=why, hint=HINT)
    return Tracing()


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what the library would log, some of it with a traceback, so that it becomes one line."""
    found: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    library = logging.getLogger("opentelemetry")
    handler, propagate = Collect(logging.WARNING), library.propagate
    library.addHandler(handler)
    library.propagate = False
    try:
        yield found
    finally:
        library.removeHandler(handler)
        library.propagate = propagate


def _masked(text: str, environ: Mapping[str, str]) -> str:
    """Return `text` on one line, without the headers of exports, which hold the collector's key."""
    for name, headers in environ.items():
        if name.startswith("OTEL_") and name.endswith("_HEADERS"):
            for secret in filter(None, map(str.strip, headers.split(","))):
                text = text.replace(secret, "***")
    return " ".join(text.split())
