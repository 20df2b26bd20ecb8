"""Log events are one vocabulary: every log call is in its list, and so in docs/log-events.md."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import image_moderation
from image_moderation.telemetry.log_events import LOG_EVENTS

PACKAGE = Path(image_moderation.__file__).parent
DOCUMENT = PACKAGE.parents[1] / "docs" / "log-events.md"
LEVELS = {name: name for name in ("debug", "info", "warning", "error", "critical")} | {"exception": "error"}

Call = tuple[str, str, frozenset[str]]
"""Event, level, fields."""

ROOMS = sorted(
    path.name for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
)


def calls(file: Path) -> Iterator[Call]:
    """Every call of a log level on something named `log` or `_log`."""
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="log") | ast.Attribute(attr="_log"), attr=level)
            ) if level in LEVELS:
                assert isinstance(node.args[0], ast.Constant), f"{file}:{node.lineno}: takes a literal name"
                fields = frozenset(keyword.arg or "**" for keyword in node.keywords)
                yield str(node.args[0].value), LEVELS[level], fields


def calls_of(room: str) -> list[Call]:
    path = PACKAGE / room
    return [call for file in (path.rglob("*.py") if path.is_dir() else [path]) for call in calls(file)]


@pytest.mark.parametrize("room", ROOMS)
def test_every_log_call_is_in_the_list(room: str) -> None:
    for event, level, fields in calls_of(room):
        known = LOG_EVENTS.get(event)
        assert known is not None, event
        assert (level, fields) == (known.level, frozenset(known.fields)), event


def test_every_event_of_the_list_is_logged() -> None:
    assert {event for room in ROOMS for event, _, _ in calls_of(room)} == set(LOG_EVENTS)


def test_the_document_is_the_list() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    for row, (name, known) in zip(rows, LOG_EVENTS.items(), strict=True):
        fields = ", ".join(f"`{field}`" for field in known.fields)
        assert row == f"| `{name}` | {known.level} | {fields} | {known.meaning} |"
