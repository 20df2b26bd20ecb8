"""JSON Schemas of the events, made from the same types that the parser checks with."""

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from image_moderation.events.models import EVENT_TYPES

_MODELS = {row.name: row.model for row in EVENT_TYPES}


class _Generator(GenerateJsonSchema):
    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        found = super().str_schema(schema)
        if "pattern" in found:
            # To some validators `$` also stands before a last line feed, which no pattern here takes.
            found["not"] = {"pattern": r"\n"}
        return found

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - overrides
        """Never: a title that only repeats the name says nothing."""
        return False


def json_schema(event_type: str) -> dict[str, Any]:
    """Return the whole JSON Schema 2020-12 of one type of event."""
    schema = TypeAdapter(_MODELS[event_type]).json_schema(schema_generator=_Generator)
    return {"$schema": _Generator.schema_dialect, **schema}


def components(ref_template: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return references to all events by type, and the schemas that they refer to by name.

    `ref_template` is pydantic's.
    """
    references, definitions = TypeAdapter.json_schemas(
        [(name, "validation", TypeAdapter(model)) for name, model in _MODELS.items()],
        ref_template=ref_template,
        schema_generator=_Generator,
    )
    return {event_type: reference for (event_type, _), reference in references.items()}, definitions["$defs"]
