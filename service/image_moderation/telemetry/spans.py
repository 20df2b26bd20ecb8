"""Spans for OpenTelemetry. Needs the extra `tracing`.

A decision's span continues the trace of the report that brought it about, so that whoever follows a report
finds what came of it. What FastStream does with a batch has spans of its own: a batch is of many traces.
"""

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from image_moderation.domain.decision import Decision
from image_moderation.telemetry.tracing import Tracing

NAME = "image-moderation"
PATIENCE = 2.0
"""Seconds for one export with its retries: a collector that is away must not hold up the process's end."""
_MILLISECOND = 1_000_000


class Spans(Tracing):
    """Sends spans to the endpoint that the environment names."""

    def __init__(self, version: str) -> None:
        named = OTELResourceDetector().detect()  # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES
        resource = Resource({SERVICE_NAME: NAME, SERVICE_VERSION: version}).merge(named)
        self.provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=PATIENCE)))
        self._tracer = self.provider.get_tracer(NAME, version)
        self._propagator = TraceContextTextMapPropagator()

    def decision(self, decision: Decision, event_id: str, since: int, until: int) -> None:
        """See `outbox.ports.Tracing`."""
        carrier = {} if decision.traceparent is None else {"traceparent": decision.traceparent}
        span = self._tracer.start_span(
            f"decide {decision.action}",
            context=self._propagator.extract(carrier),
            kind=SpanKind.PRODUCER,
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
        """Send what is left."""
        self.provider.shutdown()
