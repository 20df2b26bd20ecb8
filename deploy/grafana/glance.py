"""The first row: a number for each first question. Each description says which values are good and bad."""

from grafana_foundation_sdk.models import units

from deploy.grafana.panels import LIVE, Row, number, rate, series

IN_TIME = 'le="5.0"'
"""The histogram bucket of the objective: 5 s."""


def glance() -> Row:
    in_time = f"sum(increase({series('decision_latency_seconds_bucket', IN_TIME)}[$__range]))"
    all_of_them = f"sum(increase({series('decision_latency_seconds_count')}[$__range]))"
    return "At a glance", [
        number(
            "Ready replicas",
            "Replicas that answer 200 on /readyz. Good: as many as you run. 0 means that reports are not "
            "counted, or that decisions are not published.",
            f"sum({series('ready')})",
            units.NoUnit,
            steps=((1, "green"),),
            below="red",
        ),
        number(
            "Decisions per minute",
            "Blocks, unblocks and review requests that were published. Good: as on other days at this time. "
            "A sudden rise may be a brigade; 0 may mean that the site no longer sends reports.",
            f"sum({rate('decisions_total', LIVE)}) * 60",
            units.CountsPerMinute,
        ),
        number(
            "Lag",
            "Messages not yet delivered to any replica. Good: near 0, or falling. Bad: growing. On Kafka "
            "this is the largest lag of one replica.",
            f"max({series('intake_lag')})",
            units.Short,
            steps=((1_000, "orange"), (100_000, "red")),
        ),
        number(
            "Oldest pending",
            "Age of the oldest message that was delivered to a replica and is not acked. Good: seconds. Bad: "
            "minutes, unless the replicas work through an old backlog.",
            f"max({series('intake_oldest_pending_age_seconds')})",
            units.Seconds,
            steps=((60, "orange"), (300, "red")),
        ),
        number(
            "Outbox age",
            "Age of the oldest decision that the broker has not confirmed. Good: 0. From 15 s on, replicas "
            "are not ready, unless the decision is unroutable.",
            f"max({series('outbox_oldest_age_seconds')})",
            units.Seconds,
            steps=((15, "orange"), (60, "red")),
        ),
        number(
            "Published within 5 s",
            "Share of the decisions in the selected time range that were published within 5 s after the "
            "report that caused them arrived. Good: at least 99.9 %, which is the objective.",
            f"{in_time} / {all_of_them} >= 0",
            units.PercentUnit,
            steps=((0.999, "green"),),
            below="red",
            decimals=2,
        ),
        number(
            "Breaker open",
            "Whether the last hour had as many automatic blocks as MODERATION_MAX_BLOCKS_PER_HOUR allows. "
            "Good: no. Yes: further images that reach the threshold stay visible until a moderator decides "
            "or until the limit allows blocks again.",
            f"max({series('breaker_open')})",
            units.BoolYesNo,
            steps=((1, "red"),),
        ),
        number(
            "Dead-letter flood",
            "Whether more than half of the last 1,000 messages of a replica were dead letters. Good: no. "
            "Yes: a producer is broken, or an unrelated program publishes to the service's channels.",
            f"max({series('dead_letter_flood')})",
            units.BoolYesNo,
            steps=((1, "red"),),
        ),
    ]
