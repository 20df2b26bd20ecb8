"""JSON Schemas of the events, made from the same types that the parser checks with."""

from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from image_moderation.events.models import EVENT_TYPES, REPORTED_CHANNEL, REVIEWED_CHANNEL

_MODELS = {row.name: row.model for row in EVENT_TYPES}
_INCOMING = {row.name for row in EVENT_TYPES if row.channel in (REPORTED_CHANNEL, REVIEWED_CHANNEL)}
_IGNORED = (
    "Unknown fields are ignored. The whole event must be JSON that its reader takes: no half of a surrogate "
    "pair, no number of more than 4,300 digits before the point, no nesting of more than 200 levels."
)
"""Rule 1 of contracts/README.md, which a schema can't check."""


_SCHEMA_ID = "urn:image-moderation:{}"


class _Generator(GenerateJsonSchema):
    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        found = super().str_schema(schema)
        if "pattern" in found:
            # To some validators `$` also stands before a last line feed, which no pattern here takes.
            found["not"] = {"pattern": r"\n"}
        return found

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - overrides
        """Never: `_entitle` gives every part a title, not only fields."""
        return False


def json_schema(event_type: str) -> dict[str, Any]:
    """Return the whole JSON Schema 2020-12 of one type of event."""
    schema = TypeAdapter(_MODELS[event_type]).json_schema(schema_generator=_Generator)
    for model in (schema, *schema["$defs"].values()):
        _entitle(model, model["title"])
    comment = {"$comment": _IGNORED} if event_type in _INCOMING else {}
    return {"$schema": _Generator.schema_dialect, "$id": _SCHEMA_ID.format(event_type), **comment, **schema}


def components(ref_template: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return references to all events by type, and the schemas that they refer to by name.

    `ref_template` is pydantic's. Each part of a schema has an `$id`, by which tools name it: `Blocked.time`.
    The schemas themselves have their names and no `$id`, which would change what the references in them mean.
    """
    references, definitions = TypeAdapter.json_schemas(
        [(name, "validation", TypeAdapter(model)) for name, model in _MODELS.items()],
        ref_template=ref_template,
        schema_generator=_Generator,
    )
    schemas = definitions["$defs"]
    for name, schema in schemas.items():
        _entitle(schema, schema["title"], name)
    return {event_type: reference for (event_type, _), reference in references.items()}, schemas


def _entitle(schema: dict[str, Any], title: str, path: str = "") -> None:
    """Give a schema and each of its parts a title and, where `path` is given, its parts an `$id`."""
    schema.setdefault("title", title)
    for name, part in _parts(schema):
        if "$ref" in part:
            continue
        where = f"{path}.{name}" if path else ""
        if where:
            part["$id"] = where
        _entitle(part, _title(name, title), where)


def _parts(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from schema.get("properties", {}).items()
    yield from ((f"option-{number}", part) for number, part in enumerate(schema.get("anyOf", ())))
    for name in ("not", "additionalProperties"):
        if name in schema:
            yield name, schema[name]


def _title(name: str, parent: str) -> str:
    if name.startswith("option-"):
        return parent
    plain = {"not": f"Not in {parent.lower()}", "additionalProperties": f"One of {parent.lower()}"}
    return plain.get(name, name.replace("_", " ").capitalize())
