"""Parses `--since`: a point in time, or a duration before now."""

from datetime import UTC, datetime

from image_moderation.cli.output import WrongCall, plain
from image_moderation.settings import milliseconds
from image_moderation.settings.values import parse_duration


def parse_since(text: str | None, now: int) -> int | None:
    """Return the time that `text` names, in milliseconds, as `now` is. A time without a zone is UTC.

    Raises:
        WrongCall: it is neither a time nor a duration.
    """
    if text is None:
        return None
    try:
        return max(0, now - milliseconds(parse_duration(text)))
    except ValueError:
        pass
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            time = time.replace(tzinfo=UTC)
        return max(0, int(time.timestamp() * 1000))
    except (ValueError, OverflowError):
        takes = "takes a time such as 2026-11-23T10:00:00Z, or a duration such as 2h, 30m or PT12H"
        raise WrongCall(f"--since: got {plain(ascii(text[:80]))}; {takes}") from None
