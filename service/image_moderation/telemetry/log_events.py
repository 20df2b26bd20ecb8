"""Every log event of the service: level, fields and meaning. A test holds all log calls to this list.

One thing has one field name everywhere: `channel` is a channel of the contract whatever the broker calls it,
`error` is one line about a failure, `hint` is one line about what to do. No field holds a reporter's id.
"""

from collections.abc import Mapping
from typing import NamedTuple


class LogEvent(NamedTuple):
    """One kind of log line."""

    level: str
    fields: tuple[str, ...]
    """Every line of this event has all of them, beside `event`, `level`, `logger` and `timestamp`."""
    meaning: str


LOG_EVENTS: Mapping[str, LogEvent] = {
    # The process
    "http_started": LogEvent("info", ("url",), "The HTTP server answers at this address."),
    "tracing_on": LogEvent("info", (), "Spans are sent to the endpoint that `OTEL_…` variables name."),
    "tracing_not_installed": LogEvent(
        "warning",
        ("error", "hint"),
        "An OpenTelemetry endpoint is configured, but the extra `tracing` isn't there, or in part.",
    ),
    "tracing_off": LogEvent(
        "warning", ("error", "hint"), "An `OTEL_…` variable has a value that can't be used. No span is sent."
    ),
    "tracing_variable_ignored": LogEvent(
        "warning",
        ("error", "hint"),
        "OpenTelemetry's library takes its default in place of a variable's value. Spans are sent.",
    ),
    "started": LogEvent("info", ("version", "consumer"), "Store and broker are open; reading has begun."),
    "draining": LogEvent("info", (), "The replica was asked to stop: reading ends, batches in hand finish."),
    "drain_incomplete": LogEvent(
        "warning", ("error",), "The shutdown timeout ended first; what was in hand is delivered again."
    ),
    "stopped": LogEvent("info", (), "The drain has ended."),
    "serve_failed": LogEvent(
        "error",
        ("error",),
        "`serve` ends, or doesn't start, for this reason: exit code 1, or 2 for a setting.",
    ),
    "uncaught": LogEvent("error", (), "A fault of the program, with its traceback. Report it."),
    # Health
    "check_ok": LogEvent("info", ("check",), "A check of `/readyz` is ok again, or for the first time."),
    "check_failed": LogEvent(
        "warning", ("check", "error"), "A check of `/readyz` is not ok; again each minute while it lasts."
    ),
    "ready": LogEvent("info", (), "Every check is ok: `/readyz` answers 200."),
    "not_ready": LogEvent("info", (), "A check is not ok: `/readyz` answers 503."),
    "loop_unavailable": LogEvent("debug", ("error",), "A loop met a server that is away; it tries again."),
    "loop_failing": LogEvent(
        "warning",
        ("error",),
        "A loop has failed three times in a row for this reason, and goes on trying.",
    ),
    "store_persists_nothing": LogEvent(
        "warning", ("hint",), "The store keeps its data in memory only: a restart of it loses every case."
    ),
    "store_not_checked": LogEvent(
        "warning",
        ("command", "hint"),
        "The store's user may not run this command, which only a check needs: the check is left out.",
    ),
    # Intake and outbox
    "waiting": LogEvent(
        "warning", ("step", "error"), "`park`, `apply`, `ack` or `publish` waits for a server that is away."
    ),
    "resumed": LogEvent("info", ("step", "attempts"), "The step that waited has succeeded."),
    "dead_letter": LogEvent(
        "info", ("reason", "error", "channel", "position"), "A message is kept as a dead letter."
    ),
    "dead_letters_dropped": LogEvent(
        "warning", ("count",), "Redis, NATS: the oldest dead letters went, beyond the limit of bytes."
    ),
    "dead_letters_unbounded": LogEvent(
        "warning", ("hint",), "Redis, RabbitMQ: the limit of dead letters can't be kept."
    ),
    "parser_failed": LogEvent(
        "error",
        ("channel", "position"),
        "A fault of the parser; the message becomes a dead letter. Report it.",
    ),
    "decision": LogEvent(
        "info",
        ("action", "image_id", "revision", "trigger", "distinct_reporters", "event_id"),
        "A decision is published and settled.",
    ),
    "shadow_decision": LogEvent(
        "info",
        ("action", "image_id", "trigger", "distinct_reporters"),
        "Shadow mode: this would have been decided.",
    ),
    "swept": LogEvent("info", ("decisions",), "The sweep publishes decisions that were left in the outbox."),
    "unroutable": LogEvent(
        "warning",
        ("channel", "event_id", "hint"),
        "No queue is bound to this channel; the decision stays in the outbox.",
    ),
    # Brokers
    "reader_restarted": LogEvent(
        "warning", ("channel", "error"), "A reader had ended, for this reason, and reads again."
    ),
    "group_created": LogEvent("info", ("channel", "group"), "Redis: the consumer group was missing."),
    "stream_created": LogEvent("info", ("stream",), "NATS: the stream was missing."),
    "stream_has_fewer_replicas": LogEvent(
        "warning",
        ("count", "wanted"),
        "NATS: the stream was there, with fewer replicas than the URL asks for.",
    ),
    "stream_not_trimmed": LogEvent(
        "warning",
        ("server_version",),
        "NATS: this server loses messages at a purge, so the stream grows.",
    ),
    "consumer_created": LogEvent("info", ("channel", "consumer"), "NATS: the durable consumer was missing."),
    "consumers_removed": LogEvent(
        "info",
        ("channel", "count"),
        "Redis: consumers that own nothing are removed: after an idle hour, or as their process ends.",
    ),
    "unread_deleted": LogEvent(
        "warning",
        ("channel", "count"),
        "Redis: somebody deleted messages that were not read yet; at least so many.",
    ),
    "pending_entry_deleted": LogEvent(
        "warning", ("channel", "position"), "Redis: somebody deleted an entry that was not acked yet."
    ),
    "reclaimed": LogEvent(
        "info",
        ("channel", "messages", "most_deliveries"),
        "Redis: messages that a dead replica had in hand are processed here.",
    ),
    "partition_restarted": LogEvent(
        "warning",
        ("channel", "partition", "offset"),
        "Kafka: the partition's offsets went back, because the topic was created again or truncated.",
    ),
}
