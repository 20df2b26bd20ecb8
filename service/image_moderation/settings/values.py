"""Durations as people write them in an environment."""

import re
from datetime import timedelta

_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_SHORT = re.compile(r"([0-9]{1,15})(ms|[smhd])")
# Years and months have no fixed length, so they are not taken; nothing finer than a millisecond is used.
_ISO = re.compile(
    r"P(?=[0-9T])(?:([0-9]{1,9})W)?(?:([0-9]{1,9})D)?"
    r"(?:T(?=[0-9])(?:([0-9]{1,9})H)?(?:([0-9]{1,9})M)?(?:([0-9]{1,9}(?:\.[0-9]{1,3})?)S)?)?"
)


def parse_duration(text: object) -> timedelta:
    """Return the duration that `text` names: `30d`, `12h`, `15m`, `90s`, `500ms` or ISO 8601 (`PT1.5S`).

    A `timedelta` is returned as it is.

    Raises:
        ValueError: `text` is neither.
    """
    if isinstance(text, timedelta):
        return text
    if not isinstance(text, str):
        raise ValueError("not a duration")  # noqa: TRY004  # pydantic lets a TypeError through
    try:
        if match := _SHORT.fullmatch(text):
            return int(match[1]) * _UNITS[match[2]]
        if match := _ISO.fullmatch(text):
            weeks, days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
            return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        raise ValueError("too long") from None
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise ValueError("without a unit")
    raise ValueError("not a duration")


def milliseconds(duration: timedelta) -> int:
    """Return `duration` in whole milliseconds, the unit of every time inside the service."""
    return duration // _UNITS["ms"]


def format_duration(duration: timedelta) -> str:
    """Return `duration` in the form that the environment takes, in the largest unit that is exact: `30d`."""
    for name, unit in _UNITS.items():
        if duration >= unit and not duration % unit:
            return f"{duration // unit}{name}"
    return f"{milliseconds(duration)}ms"
