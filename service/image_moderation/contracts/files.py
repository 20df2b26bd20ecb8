"""The generated files of `contracts/`: written from the code, checked in, and compared with it."""

import json
from pathlib import Path

from image_moderation.contracts.asyncapi import RECEIVED, document
from image_moderation.contracts.examples import EXAMPLES
from image_moderation.contracts.schemas import json_schema
from image_moderation.events.models import EVENT_TYPES, EventType

_SCHEMAS = "schemas"
_EXAMPLES = "examples/valid"
_SUFFIX = ".schema.json"


def files() -> dict[str, bytes]:
    """Return every generated file by its path below `contracts/`."""
    schemas = {
        f"{_SCHEMAS}/{row.name}{_SUFFIX}": json.dumps(json_schema(row.name), indent=2, ensure_ascii=False)
        + "\n"
        for row in EVENT_TYPES
    }
    examples = {f"{_EXAMPLES}/{_stem(row)}.json": _written(row) for row in EVENT_TYPES}
    return {"asyncapi.json": document()} | {
        path: text.encode() for path, text in (schemas | examples).items()
    }


def _stem(row: EventType) -> str:
    """Return `retracted` for `image.report-retracted.v1`, and the others by the same rule."""
    return row.name.removeprefix("image.").removeprefix("report-").removesuffix(".v1")


def _written(row: EventType) -> str:
    """Return an example as its sender writes it: a producer as it likes, the service without spaces."""
    if row.channel in RECEIVED:
        return json.dumps(EXAMPLES[row.name], indent=2, ensure_ascii=False) + "\n"
    return json.dumps(EXAMPLES[row.name], separators=(",", ":"), ensure_ascii=False)


def drift(root: Path) -> list[str]:
    """Return a line for each file below `root`, the folder `contracts/`, that differs from the code."""
    wanted = files()
    lines = []
    for path, content in wanted.items():
        file = root / path
        if not file.is_file():
            lines.append(f"{file}: is missing")
        elif file.read_bytes() != content:
            lines.append(f"{file}: differs from what the code writes")
    lines += [f"{file}: there is no event with this schema" for file in _surplus(root, wanted)]
    return lines


def write(root: Path) -> None:
    """Write every generated file below `root`, the folder `contracts/`, and remove schemas of old events."""
    wanted = files()
    for path, content in wanted.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.is_file() or file.read_bytes() != content:
            file.write_bytes(content)
    for file in _surplus(root, wanted):
        file.unlink()


def _surplus(root: Path, wanted: dict[str, bytes]) -> list[Path]:
    """Return the schemas of events that no longer exist. Other files there are written by hand."""
    found = sorted((root / _SCHEMAS).glob(f"*{_SUFFIX}"))
    return [file for file in found if f"{_SCHEMAS}/{file.name}" not in wanted]
