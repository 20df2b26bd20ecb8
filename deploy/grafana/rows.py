"""The rows of graphs and the order of all rows. Each description says which values are good and bad."""

from collections.abc import Sequence

from grafana_foundation_sdk.models import units

from deploy.grafana.glance import glance
from deploy.grafana.panels import LIVE, SELECTED, Row, graph, quantiles, rate, series, spread

BLOCKS = ('decision="block"', 'trigger="threshold"', LIVE)
REVERSALS = ('decision="unblock"', 'trigger="moderator"', LIVE)


def rows() -> Sequence[Row]:
    """All rows, in order."""
    return [glance(), _intake(), _decisions(), _store(), _moderators(), _process()]


def _intake() -> Row:
    return "Intake", [
        graph(
            "Reports by outcome",
            "Messages by outcome. Good: mostly counted, duplicate and already_blocked. Many late: "
            "reports arrive with a long delay. Any held: cases are full. Many dead_letter: a producer is "
            "broken.",
            {"{{outcome}}": f"sum by (outcome) ({rate('reports_total')})"},
            units.MessagesPerSecond,
            stacked=True,
        ),
        graph(
            "Waiting at the broker",
            "Lag: not yet delivered to any replica. Pending: delivered and not acked. Good: both return to "
            "0. Pending that stays while lag is 0: a message can't be processed.",
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
            "Age of the oldest report of each batch when the batch was stored, measured from the time at "
            "which the person reported. Good: seconds. Hours: producers retry old reports, or the replicas "
            "work through a backlog.",
            quantiles("report_age_seconds"),
            units.Seconds,
            span=8,
        ),
        graph(
            "Dead letters by reason",
            "Messages parked as dead letters, per minute. Good: almost none. Inspect even a single "
            "too_many_deliveries: its message may be valid.",
            {"{{reason}}": f"sum by (reason) ({rate('dead_letters_total')}) * 60"},
            units.CountsPerMinute,
            stacked=True,
            span=8,
        ),
        graph(
            "Deleted unread",
            "Messages per minute that somebody deleted or trimmed before the replicas had read them; at "
            "least so many. Good: none. Any: reports are lost.",
            {"messages": f"max({rate('deleted_unread_total')}) * 60"},
            units.CountsPerMinute,
        ),
        graph(
            "Channel ahead of the clock",
            "By how much the newest position of a channel lies in the future of the broker's clock. Good: 0. "
            "Hours: a producer chose the position itself, and the broker may take no further messages.",
            {"ahead": f"max({series('channel_ahead_seconds')})"},
            units.Seconds,
        ),
    ]


def _decisions() -> Row:
    return "Decisions", [
        graph(
            "Decisions by trigger",
            "Decisions per minute. Good: as on other days. Any breaker: the breaker withholds blocks. Mode "
            "shadow: decided and counted, never published.",
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
            "the objective is 5 s (dashed). Minutes: a backlog, or the store or the broker was unavailable.",
            quantiles("decision_latency_seconds"),
            units.Seconds,
            steps=((5, "red"),),
        ),
        spread(
            "Decision latency distribution",
            "Number of decisions by latency. Good: all at the bottom. A second band at a few seconds: "
            "decisions that the sweep published after a crash or a lost reply.",
            "decision_latency_seconds",
            units.Seconds,
        ),
        graph(
            "Error budget burn",
            "Burn rate of the error budget of 0.1 % slow decisions, over several windows (from the recording "
            "rules); 1 spends exactly the budget. Good: below 1. 14.4 in 1h or 6 in 6h pages.",
            {
                window: f'job:moderation_decisions_slow:ratio_rate{window}{{job="$job"}} / 0.001'
                for window in ("1h", "6h", "1d", "3d")
            },
            units.Short,
            steps=((1, "orange"), (14.4, "red")),
        ),
        graph(
            "Outbox",
            "Decisions that the broker has not confirmed. Good: 0, with short rises. Growing: the broker "
            "accepts no messages, or decisions are unroutable.",
            {"decisions": f"max({series('outbox_pending')})"},
            units.Short,
        ),
        graph(
            "Outbox, oldest decision",
            "Age of the oldest decision that the broker has not confirmed. Good: 0 or a few seconds. From "
            "15 s on (dashed), replicas are not ready, unless the decision is unroutable; a minute pages.",
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
            "store is busy, far away, or waits for its disk.",
            quantiles("store_call_seconds"),
            units.Seconds,
            span=8,
        ),
        graph(
            "Store calls",
            "Calls per second, by replica. Good: about the same for each. A replica that stays at 0 while "
            "others work reads no messages.",
            {"{{instance}}": f"sum by (instance) ({rate('store_call_seconds_count')})"},
            units.OpsPerSecond,
            span=8,
        ),
        graph(
            "Clock offset",
            "Difference between a replica's clock and the store's, either way. Good: below a second. Beyond "
            "300 s (dashed) a replica stops: set the machine's time.",
            {"{{instance}}": f"abs({series('clock_offset_seconds')})"},
            units.Seconds,
            steps=((300, "red"),),
            span=8,
        ),
    ]


def _moderators() -> Row:
    reversals, blocks = (
        f"sum(increase({series('decisions_total', *matchers)}[1d]))" for matchers in (REVERSALS, BLOCKS)
    )
    return "Moderators", [
        graph(
            "Oldest unanswered review",
            "Age of the oldest review request without a verdict; 0 if there is none. Good: within your "
            "moderators' working hours. A day (dashed) makes a ticket.",
            {"age": f"max({series('oldest_unanswered_review_age_seconds')})"},
            units.Seconds,
            steps=((86_400, "red"),),
            span=8,
        ),
        graph(
            "Verdicts by outcome",
            "Verdicts per minute. upheld and cleared became the image's current verdict; stale was older "
            "than the current verdict; duplicate repeated it. Good: some, if reviews are requested.",
            {"{{outcome}}": f"sum by (outcome) ({rate('verdicts_total')}) * 60"},
            units.CountsPerMinute,
            stacked=True,
            span=8,
        ),
        graph(
            "Reversals",
            "Images that moderators unblocked within a day, as a share of the automatic blocks. Good: a "
            "few per cent. Above 20 % (dashed), people report images that moderators find harmless: a "
            "brigade, or a threshold that is too low.",
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
            "CPU time; 100 % is one core, about the most that a replica can use. Good: well below. At 100 % "
            "with growing lag: add replicas.",
            {"{{instance}}": cpu},
            units.PercentUnit,
            span=6,
        ),
        graph(
            "Memory",
            "Resident memory. Good: constant after some minutes. It doesn't depend on the number of images.",
            {"{{instance}}": f"process_resident_memory_bytes{{{SELECTED}}}"},
            units.BytesIEC,
            span=6,
        ),
        graph(
            "Ready",
            "1 while a replica answers 200 on /readyz. Good: 1, with a gap at each start. If it often falls "
            "to 0, look at the log lines `check_failed`.",
            {"{{instance}}": series("ready")},
            units.NoUnit,
            span=6,
        ),
        graph(
            "Version, threshold and policy",
            "Replicas by version, by configured block threshold and by the hash of all rules together, "
            "a decision's `policy`. Good: one line of each; two only during a roll-out.",
            {
                "{{version}}": f"count by (version) ({series('build_info')})",
                "threshold {{threshold}}": f'count_values("threshold", {series("block_threshold")})',
                "policy {{hash}}": f"count by (hash) ({series('policy_info')})",
            },
            units.NoUnit,
            span=6,
        ),
    ]
