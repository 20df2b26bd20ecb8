"""The documents are true of the code: what each room imports, and what each variable defaults to."""

import ast
import re
import sys
from datetime import timedelta
from pathlib import Path

import pytest

import image_moderation
from image_moderation.settings import Settings
from image_moderation.settings.environment import variable
from image_moderation.settings.values import format_duration

PACKAGE = Path(image_moderation.__file__).parent
ROOT = PACKAGE.parents[1]
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
README = (ROOT / "README.md").read_text()

ROOMS = {
    path.stem: [path] if path.is_file() else list(path.rglob("*.py"))
    for path in PACKAGE.iterdir()
    if not path.name.startswith("_") and (path.suffix == ".py" or (path / "__init__.py").is_file())
}
NO_DEFAULT = {
    "broker_url": "required unless `serve --embedded`",
    "store_url": "the broker's where that is Redis, else required",
    "reporter_key": "made once, kept in the store",
    "consumer_name": "`<host>-<random>`",
    "log_format": "`json` (`console` on a terminal)",
}
"""README's words for the variables without a default value."""


def imports(room: str) -> set[str]:
    """The rooms and libraries that a room imports, beside itself and the standard library."""
    found: set[str] = set()
    for file in ROOMS[room]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    parts = [name.split(".") for name in found]
    tops = {name[1] if name[0] == "image_moderation" else name[0] for name in parts}
    return tops - {room, "__version__"} - sys.stdlib_module_names


def test_the_table_of_rooms_is_what_they_import() -> None:
    rows = re.findall(r"^\| `([a-z_]+)(?:/|\.py)` \|[^|]*\|(.*)\|$", ARCHITECTURE, re.MULTILINE)
    told = {room: set(re.findall(r"`([a-z_]+)`", cell)) for room, cell in rows}
    assert told == {room: imports(room) for room in ROOMS}


def defaults_in_readme() -> dict[str, str]:
    found: dict[str, str] = {}
    for variables, cell in re.findall(r"^\| (`MODERATION_[^|]*) \| ([^|]*) \|", README, re.MULTILINE):
        names = re.findall(r"`(\w+)`", variables)
        # Two variables may share a row, and their defaults the cell.
        found |= dict(zip(names, cell.split(", ") if len(names) > 1 else [cell], strict=True))
    return found


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_table_of_variables_gives_the_default(name: str) -> None:
    default = Settings.model_fields[name].default
    if isinstance(default, timedelta):
        default = format_duration(default)
    expected = {None: "off", (): "none"}.get(default, f"`{default}`")
    assert defaults_in_readme()[variable(name)] == NO_DEFAULT.get(name, expected)
