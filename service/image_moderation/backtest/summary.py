"""What a replay found, as rows for people and as values for programs."""

from typing import Any

from image_moderation.backtest.differences import Difference, Ending
from image_moderation.backtest.measures import Measures
from image_moderation.backtest.recording import Refused
from image_moderation.backtest.replay import Replay
from image_moderation.backtest.run import Setting
from image_moderation.domain.policy import Policy
from image_moderation.events.render import stamp

_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))
_QUANTILES = (0.5, 0.9)


def rows(replay: Replay) -> list[tuple[str, ...]]:
    """Return the table: a measure a row, its name and its value under each setting."""
    measures = [run.measures for run in replay.runs]
    policies = [run.setting.policy for run in replay.runs]

    def row(name: str, values: list[Any]) -> tuple[str, ...]:
        return name, *("-" if value is None else str(value) for value in values)

    return [
        row("policy", [policy.hash for policy in policies]),
        row("mode", ["shadow" if policy.shadow else "live" for policy in policies]),
        row("images reported", [replay.images_reported] * len(measures)),
        row("images blocked", [one.images_blocked for one in measures]),
        row("blocks", [one.blocks for one in measures]),
        *(
            row(f"first report to block, p{share * 100:.0f}", [_span(one, share) for one in measures])
            for share in _QUANTILES
        ),
        *(
            row(
                f"reports needed, p{share * 100:.0f}",
                [one.reports_needed.quantile(share) for one in measures],
            )
            for share in _QUANTILES
        ),
        row("blocks upheld later", [one.upheld for one in measures]),
        row("blocks overturned later", [one.overturned for one in measures]),
        row("blocked although cleared before", [one.after_cleared for one in measures]),
        row("blocked by moderators", [one.blocks_by_moderators for one in measures]),
        row("reviews asked for", [one.reviews.total() for one in measures]),
        row("greatest queue of reviews", [one.greatest_queue for one in measures]),
        row("blocks that wait at the end", [one.withheld for one in measures]),
    ]


def _span(measures: Measures, share: float) -> str | None:
    value = measures.time_to_block.quantile(share)
    return None if value is None else words(value)


def words(milliseconds: int) -> str:
    """Return a duration in its largest unit, to three digits: `4.5 min`."""
    for unit, name in _UNITS:
        if milliseconds >= unit:
            return f"{milliseconds / unit:.3g} {name}"
    return f"{milliseconds} ms"


def why(ending: Ending, policy: Policy) -> str:
    """Say in one line why an image was blocked under a setting, or why it was not."""
    history, threshold = ending.history, policy.block_threshold
    said: list[str] = []
    if history.blocked_at:
        would = "would have been blocked" if policy.shadow else "blocked"
        said.append(f"{would} {stamp(history.blocked_at)} by {history.reporters} of {threshold} reporters")
        if history.cleared_at > history.blocked_at:
            said.append(f"cleared by a moderator {stamp(history.cleared_at)}")
    else:
        if history.blocked_by_moderator:
            said.append(f"not by reports: a moderator blocked it {stamp(history.blocked_by_moderator)}")
        most = f"at most {ending.score} of {threshold} reporters counted together"
        if ending.score >= threshold:
            waits = "waits" if ending.case.withheld else "waited"
            most = f"{ending.score} reporters reached {threshold}; the block {waits} for grace or the breaker"
        said.append(most if said else f"not blocked: {most}")
        if history.cleared_at:
            said.append(f"a moderator cleared it {stamp(history.cleared_at)}")
    if history.reviews:
        said.append(f"{history.reviews} review{'s' * (history.reviews > 1)} asked for")
    return "; ".join(said)


def as_values(replay: Replay, refused: Refused) -> dict[str, Any]:
    """Return all of it for programs. Durations are in seconds, times are RFC 3339."""
    settings = [run.setting for run in replay.runs]
    return {
        "recording": {
            "events": replay.events,
            "first": None if replay.first is None else stamp(replay.first),
            "last": None if replay.first is None else stamp(replay.clock),
            "images_reported": replay.images_reported,
            "out_of_order": replay.out_of_order,
            "refused": [
                {"reason": reason, "count": count, "first": refused.places[reason]}
                | {"error": refused.errors[reason]}
                for reason, count in refused.counts.most_common()
            ],
        },
        "settings": [_setting(run.setting, run.measures) for run in replay.runs],
        "images_that_differ": replay.differences.count,
        "differences": [_difference(one, settings) for one in replay.differences.kept],
    }


def _setting(setting: Setting, measures: Measures) -> dict[str, Any]:
    times = [measures.time_to_block.quantile(share) for share in _QUANTILES]
    return {
        "name": setting.name,
        "policy": setting.policy.hash,
        "mode": "shadow" if setting.policy.shadow else "live",
        "images_blocked": measures.images_blocked,
        "blocks": measures.blocks,
        "seconds_to_block": _quantiles([None if time is None else time / 1000 for time in times]),
        "reports_needed": _quantiles([measures.reports_needed.quantile(share) for share in _QUANTILES]),
        "blocks_upheld": measures.upheld,
        "blocks_overturned": measures.overturned,
        "blocked_although_cleared": measures.after_cleared,
        "blocks_by_moderators": measures.blocks_by_moderators,
        "unblocks": measures.unblocks,
        "reviews": measures.reviews.total(),
        "reviews_by_trigger": dict(measures.reviews),
        "greatest_review_queue": measures.greatest_queue,
        "blocks_waiting_at_end": measures.withheld,
        "outcomes": dict(measures.outcomes),
    }


def _quantiles(values: list[Any]) -> dict[str, Any]:
    return {f"p{share * 100:.0f}": value for share, value in zip(_QUANTILES, values, strict=True)}


def _difference(difference: Difference, settings: list[Setting]) -> dict[str, Any]:
    ended = zip(settings, difference.endings, strict=True)
    return {
        "image_id": difference.image_id,
        "reports": difference.reports,
        "settings": {
            setting.name: {
                "blocked": bool(ending.history.blocked_at),
                "blocked_at": stamp(ending.history.blocked_at) if ending.history.blocked_at else None,
                "why": why(ending, setting.policy),
            }
            for setting, ending in ended
        },
    }
