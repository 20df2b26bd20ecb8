"""Spans for OpenTelemetry, off unless its own variables name an endpoint. Needs the extra `tracing`.

A decision's span continues the trace of the report that caused it, so whoever follows a report finds the
decision. FastStream's spans of a batch stand apart, because one batch holds reports of many traces.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import structlog

from image_moderation.domain.decision import Decision

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
NAME = "image-moderation"
EXPORT_TIMEOUT = 2.0
"""Seconds for one export with its retries: an absent collector must not delay the end of the process."""
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
        # Imported only here, because the library is an extra.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk import resources  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.trace import SpanKind  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
            TraceContextTextMapPropagator,
        )

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
        """Send the spans that are not sent yet."""
        self.provider.shutdown()


def make_tracing(environ: Mapping[str, str], version: str) -> Tracing:
    """Return the tracing that `environ` asks for; `version` is this service's."""
    if not any(environ.get(name) for name in ENDPOINTS) or environ.get("OTEL_SDK_DISABLED") == "true":
        return Tracing()
    if find_spec("opentelemetry") is None:
        log.warning("tracing_not_installed", hint="pip install '.[tracing]' in a checkout")
        return Tracing()
    log.info("tracing_on")
    return Spans(version)
