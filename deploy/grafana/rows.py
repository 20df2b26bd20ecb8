"""What the dashboard shows, row by row. Each description says what is good and what is bad."""

from collections.abc import Sequence

from grafana_foundation_sdk.models import units

from deploy.grafana.panels import SELECTED, Panel, graph, number, quantiles, rate, series, spread

Row = tuple[str, Sequence[Panel]]
"""A title and the panels beneath."""

LIVE = 'mode="live"'
BLOCKS = ('decision="block"', 'trigger="threshold"', LIVE)
REVERSALS = ('decision="unblock"', 'trigger="moderator"', LIVE)
IN_TIME = 'le="5.0"'
"""The objective's bucket."""


def rows() -> Sequence[Row]:
    """All rows, in order."""
    return [_glance(), _intake(), _decisions(), _store(), _moderators(), _process()]


def _glance() -> Row:
    in_time = f"sum(increase({series('decision_latency_seconds_bucket', IN_TIME)}[$__range]))"
    all_of_them = f"sum(increase({series('decision_latency_seconds_count')}[$__range]))"
    return "At a glance", [
        number(
            "Ready replicas",
            "Replicas that answer 200 on /readyz. Good: as many as you run. 0 means that nothing is counted "
            "or nothing is published.",
            f"sum({series('ready')})",
            units.NoUnit,
            steps=((1, "green"),),
            below="red",
        ),
        number(
            "Decisions a minute",
            "Blocks, unblocks and requests for a review that were published. Good: as on other days at this "
            "time; a jump may be a brigade, none at all a site that no longer sends reports.",
            f"sum({rate('decisions_total', LIVE)}) * 60",
            units.CountsPerMinute,
        ),
        number(
            "Lag",
            "Messages that no replica has been given yet. Good: near 0, or falling. Bad: growing.",
            f"max({series('intake_lag')})",
            units.Short,
            steps=((1_000, "orange"), (100_000, "red")),
        ),
        number(
            "Oldest pending",
            "Age of the oldest message that was given to a replica and is not acked. Good: seconds. Bad: "
            "minutes, unless an old backlog is being worked off.",
            f"max({series('intake_oldest_pending_age_seconds')})",
            units.Seconds,
            steps=((60, "orange"), (300, "red")),
        ),
        number(
            "Outbox age",
            "Age of the oldest decision that the broker has not confirmed. Good: 0. From 15 s on replicas "
            "are not ready.",
            f"max({series('outbox_oldest_age_seconds')})",
            units.Seconds,
            steps=((15, "orange"), (60, "red")),
        ),
        number(
            "Published within 5 s",
            "Share of the decisions in the shown time that were published within 5 s of the report that "
            "brought them about. Good: at least 99.9 %, which is the objective.",
            f"{in_time} / {all_of_them} >= 0",
            units.PercentUnit,
            steps=((0.999, "green"),),
            below="red",
            decimals=2,
        ),
        number(
            "Breaker open",
            "Whether the last hour has had as many automatic blocks as MODERATION_MAX_BLOCKS_PER_HOUR "
            "allows. Good: no. Yes: images that enough people reported stay visible until a moderator "
            "decides.",
            f"max({series('breaker_open')})",
            units.BoolYesNo,
            steps=((1, "red"),),
        ),
        number(
            "Malformed flood",
            "Whether more than half of the last 1,000 messages of a replica were dead letters. Good: no. "
            "Yes: a producer is broken, or somebody else publishes to the service's channels.",
            f"max({series('dead_letter_flood')})",
            units.BoolYesNo,
            steps=((1, "red"),),
        ),
    ]


def _intake() -> Row:
    return "Intake", [
        graph(
            "Reports by outcome",
            "What became of the messages. Good: mostly counted, duplicate and already_blocked. Many late: "
            "reports are held up on the way. Any held: cases are full. Many dead_letter: a producer is "
            "broken.",
            {"{{outcome}}": f"sum by (outcome) ({rate('reports_total')})"},
            units.MessagesPerSecond,
            stacked=True,
        ),
        graph(
            "Waiting at the broker",
            "Lag: not given to any replica yet. Pending: given, not acked. Good: both return to 0. Pending "
            "that stays while lag is 0: a message can't be finished.",
            {"lag": f"max({series('intake_lag')})", "pending": f"max({series('intake_pending')})"},
            units.Short,
        ),
        graph(
            "Batch size",
            "Messages in one batch. Good: below MODERATION_BATCH_SIZE. Near it while the lag grows: more "
            "replicas are needed.",
            quantiles("batch_reports"),
            units.Short,
            span=8,
        ),
        graph(
            "Report age",
            "Age of the oldest report of each batch when it was counted, by the time at which the person "
            "reported. Good: seconds. Hours: producers retry old reports, or a backlog is being worked off.",
            quantiles("report_age_seconds"),
            units.Seconds,
            span=8,
        ),
        graph(
            "Dead letters by reason",
            "Messages that can't be understood, kept as dead letters. Good: next to none. "
            "too_many_deliveries is worth a look even once: a good message may have been parked.",
            {"{{reason}}": f"sum by (reason) ({rate('dead_letters_total')}) * 60"},
            units.CountsPerMinute,
            stacked=True,
            span=8,
        ),
    ]


def _decisions() -> Row:
    return "Decisions", [
        graph(
            "Decisions by what brought them about",
            "Good: as on other days. Any breaker: blocks are being withheld. mode shadow: decided "
            "and counted, never published.",
            {
                "{{decision}} by {{trigger}}, {{mode}}": (
                    f"sum by (decision, trigger, mode) ({rate('decisions_total')}) * 60"
                )
            },
            units.CountsPerMinute,
            stacked=True,
        ),
        graph(
            "Decision latency",
            "From the arrival of the deciding report to the confirmed publication. Good: under a second; "
            "the objective is 5 s (dashed). Minutes: a backlog, or the store or the broker was away.",
            quantiles("decision_latency_seconds"),
            units.Seconds,
            steps=((5, "red"),),
        ),
        spread(
            "Decision latency, spread",
            "How many decisions took how long. Good: all at the bottom. A second band at some seconds: "
            "decisions that only the sweep published, after a crash or a lost reply.",
            "decision_latency_seconds",
            units.Seconds,
        ),
        graph(
            "Error budget burn",
            "At how many times the pace that just spends the budget of 0.1 % slow decisions it is spent, "
            "over several windows (from the recording rules). Good: below 1. 14.4 in 1h or 6 in 6h pages.",
            {
                window: f'job:moderation_decisions_slow:ratio_rate{window}{{job="$job"}} / 0.001'
                for window in ("1h", "6h", "1d", "3d")
            },
            units.Short,
            steps=((1, "orange"), (14.4, "red")),
        ),
        graph(
            "Outbox",
            "Decisions that are taken and not confirmed by the broker. Good: 0, with short bumps. Growing: "
            "the broker takes nothing.",
            {"decisions": f"max({series('outbox_pending')})"},
            units.Short,
        ),
        graph(
            "Outbox, oldest decision",
            "Good: 0 or a few seconds. From 15 s on replicas are not ready (dashed); a minute pages.",
            {"age": f"max({series('outbox_oldest_age_seconds')})"},
            units.Seconds,
            steps=((15, "red"),),
        ),
    ]


def _store() -> Row:
    return "Store", [
        graph(
            "Store call",
            "Duration of one call, which applies a whole batch. Good: milliseconds. Tenths of a second: the "
            "store is busy or far away, or has to wait for its disk.",
            quantiles("store_call_seconds"),
            units.Seconds,
        ),
        graph(
            "Store calls",
            "Calls a second, by replica. Good: about the same for each. A replica at 0 while others work "
            "reads nothing.",
            {"{{instance}}": f"sum by (instance) ({rate('store_call_seconds_count')})"},
            units.OpsPerSecond,
        ),
    ]


def _moderators() -> Row:
    reversals, blocks = (
        f"sum(increase({series('decisions_total', *matchers)}[1d]))" for matchers in (REVERSALS, BLOCKS)
    )
    return "Moderators", [
        graph(
            "Oldest unanswered review",
            "How long the oldest request for a review has been waiting for a verdict; 0 where none is asked "
            "for. Good: within your moderators' hours. A day (dashed) makes a ticket.",
            {"age": f"max({series('oldest_unanswered_review_age_seconds')})"},
            units.Seconds,
            steps=((86_400, "red"),),
            span=8,
        ),
        graph(
            "Verdicts by outcome",
            "upheld and cleared changed something; stale was older than the verdict that stands, duplicate "
            "said the same again. Good: some, wherever reviews are asked for.",
            {"{{outcome}}": f"sum by (outcome) ({rate('verdicts_total')}) * 60"},
            units.CountsPerMinute,
            stacked=True,
            span=8,
        ),
        graph(
            "Reversals",
            "Images that moderators unblocked, as a share of the automatic blocks, within a day. Good: a "
            "few per cent. Above 20 % (dashed) people report what moderators find harmless: a brigade, or a "
            "threshold that is too low.",
            {"of the automatic blocks": f"{reversals} / {blocks} >= 0"},
            units.PercentUnit,
            steps=((0.2, "red"),),
            span=8,
        ),
    ]


def _process() -> Row:
    cpu = f"rate(process_cpu_seconds_total{{{SELECTED}}}[$__rate_interval])"
    return "Process", [
        graph(
            "CPU",
            "Processor time, 100 % being one core, which is about what a replica can use. Good: well below. "
            "At 100 % with growing lag: add replicas.",
            {"{{instance}}": cpu},
            units.PercentUnit,
            span=6,
        ),
        graph(
            "Memory",
            "Resident memory. Good: level after some minutes; it doesn't depend on how many images there "
            "are.",
            {"{{instance}}": f"process_resident_memory_bytes{{{SELECTED}}}"},
            units.BytesIEC,
            span=6,
        ),
        graph(
            "Ready",
            "1 while a replica answers 200 on /readyz. Good: 1, with a gap at each start. Many falls: look "
            "at the log lines `check failed`.",
            {"{{instance}}": series("ready")},
            units.NoUnit,
            span=6,
        ),
        graph(
            "Version and threshold",
            "Replicas by version and by the block threshold they are configured with. Good: one line; two "
            "while a new version or threshold is rolled out, and no longer.",
            {
                "{{version}}": f"count by (version) ({series('build_info')})",
                "threshold {{threshold}}": f'count_values("threshold", {series("block_threshold")})',
            },
            units.NoUnit,
            span=6,
        ),
    ]
