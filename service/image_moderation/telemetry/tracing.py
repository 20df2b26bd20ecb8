"""Whether there are spans for OpenTelemetry: off unless an endpoint is configured by its own variables."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import structlog

from image_moderation.domain.decision import Decision

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

log = structlog.get_logger(__name__)


class Tracing:
    """No spans. `spans.Spans` makes some."""

    provider: Any = None
    """OpenTelemetry's TracerProvider, None where tracing is off."""

    def decision(self, decision: Decision, event_id: str, since: int, until: int) -> None:
        """See `outbox.ports.Tracing`."""

    def stop(self) -> None:
        """Send what is left."""


def make_tracing(environ: Mapping[str, str], version: str) -> Tracing:
    """Return what traces, by this process's environment."""
    if not any(environ.get(name) for name in ENDPOINTS) or environ.get("OTEL_SDK_DISABLED") == "true":
        return Tracing()
    if find_spec("opentelemetry") is None:
        log.warning("tracing is not installed", hint="pip install 'image-moderation[tracing]'")
        return Tracing()
    # Imported only now, for its library is an extra.
    tracing: Tracing = import_module("image_moderation.telemetry.spans").Spans(version)
    log.info("tracing is on")
    return tracing
