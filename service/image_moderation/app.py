"""The composition root of `serve`: joins the rooms and hands them values. Nothing is built at import."""

import os
from functools import cache, partial
from socket import gethostname

from image_moderation import __version__
from image_moderation.brokers.port import Options, Transport
from image_moderation.brokers.registry import broker_for
from image_moderation.intake.intake import Intake
from image_moderation.loops import loops_of
from image_moderation.outbox.outbox import BrokerSink, Outbox
from image_moderation.redis_connection import connect
from image_moderation.replica import Replica
from image_moderation.settings import Settings, milliseconds
from image_moderation.telemetry.health import Health
from image_moderation.telemetry.http import http_app
from image_moderation.telemetry.metrics import Metrics
from image_moderation.telemetry.server import HttpServer
from image_moderation.telemetry.tracing import Tracing, make_tracing
from image_moderation.wiring import clock, make_outbox, make_store, policy


def build(settings: Settings) -> Replica:
    """Join the rooms to one replica. Nothing is connected yet.

    Raises:
        Misconfigured: the broker's client library is not installed.
    """
    metrics = Metrics(version=__version__, policy=policy(settings))
    health = Health(on_ready=metrics.ready)
    tracing = make_tracing(os.environ, __version__)
    store_client = connect(settings.store_address)
    store = make_store(settings, store_client, metrics.store_call, metrics.clock_offset)
    redis_outbox = make_outbox(settings, store_client)
    transport = _transport(settings, metrics, tracing)
    sink = redis_outbox if settings.store_is_broker else BrokerSink(transport, redis_outbox)
    outbox = Outbox(sink=sink, store=redis_outbox, metrics=metrics, tracing=tracing, clock=clock)
    intake = Intake(
        source=transport,
        store=store,
        outbox=outbox,
        metrics=metrics,
        clock=clock,
        max_event_bytes=settings.max_event_bytes,
        max_deliveries=settings.max_deliveries,
    )
    return Replica(
        consumer=settings.consumer_name,
        shutdown_timeout=settings.shutdown_timeout.total_seconds(),
        store_client=store_client,
        store=store,
        transport=transport,
        intake=intake,
        loops=loops_of(
            store=store,
            outbox=outbox,
            transport=transport,
            intake=intake,
            metrics=metrics,
            health=health,
            clock=clock,
        ),
        health=health,
        http=HttpServer(
            http_app(metrics, health, partial(_asyncapi, settings.broker_address), _host_names(settings)),
            settings.http_host,
            settings.http_port,
        ),
        tracing=tracing,
    )


@cache
def _asyncapi(broker_url: str) -> bytes:
    # Made when somebody asks for it: its generator would take a tenth of the start.
    from image_moderation.contracts.asyncapi import document  # noqa: PLC0415 - see above

    return document(broker_url)


def _host_names(settings: Settings) -> list[str]:
    """Return the names that this process is asked by: its machine's own, and what is configured."""
    return [name.lower() for name in (settings.http_host, gethostname(), *settings.http_allowed_hosts)]


def _transport(settings: Settings, metrics: Metrics, tracing: Tracing) -> Transport:
    retention = settings.decision_retention
    return broker_for(settings.broker_address).make_transport(
        Options(
            url=settings.broker_address,
            group=settings.consumer_group,
            consumer=settings.consumer_name,
            batch_size=settings.batch_size,
            clock=clock,
            dead_letter_retention=milliseconds(settings.dead_letter_retention),
            dead_letter_max_bytes=settings.dead_letter_max_bytes,
            decision_retention=None if retention is None else milliseconds(retention),
            registry=metrics.registry,
            tracer_provider=tracing.provider,
        )
    )
