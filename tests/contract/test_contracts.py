"""The generated files of `contracts/`: right, and what the code would write."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker

from image_moderation import __version__
from image_moderation.brokers.nats import topology as nats
from image_moderation.brokers.rabbitmq import topology as rabbitmq
from image_moderation.contracts import asyncapi
from image_moderation.contracts import files as contracts
from image_moderation.contracts.schemas import json_schema
from image_moderation.events.models import (
    BLOCKED,
    DEAD_LETTER,
    EVENT_TYPES,
    REPORTED,
    RETRACTED,
    REVIEW_REQUESTED,
    REVIEWED,
    UNBLOCKED,
)

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(contracts.files()["asyncapi.json"])
    return found


def test_the_files_checked_in_are_what_the_code_would_write() -> None:
    assert contracts.drift(ROOT / "contracts") == []


def test_drift_names_each_file_and_write_mends_it(tmp_path: Path) -> None:
    assert len(contracts.drift(tmp_path)) == len(contracts.files()) == 15
    contracts.write(tmp_path)
    assert contracts.drift(tmp_path) == []
    (tmp_path / "asyncapi.json").write_text("{}")
    (tmp_path / "schemas" / "image.blocked.v1.schema.json").unlink()
    (tmp_path / "schemas" / "image.gone.v1.schema.json").write_text("{}")
    (tmp_path / "README.md").write_text("by hand")
    assert contracts.drift(tmp_path) == [
        f"{tmp_path}/asyncapi.json: differs from what the code writes",
        f"{tmp_path}/schemas/image.blocked.v1.schema.json: is missing",
        f"{tmp_path}/schemas/image.gone.v1.schema.json: there is no event with this schema",
    ]
    contracts.write(tmp_path)
    assert contracts.drift(tmp_path) == []
    assert (tmp_path / "README.md").exists()


def test_the_document_is_asyncapi(document: dict[str, Any]) -> None:
    official = json.loads((HERE / "asyncapi" / "3.1.0.json").read_text())
    errors = [
        f"{error.json_path}: {error.message}" for error in Draft7Validator(official).iter_errors(document)
    ]
    assert errors == []


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            here = [node["$ref"]] if "$ref" in node else []
            return here + [ref for child in node.values() for ref in references(child)]
        return [ref for child in node for ref in references(child)] if isinstance(node, list) else []

    found = references(document)
    assert found
    for reference in found:
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
        assert isinstance(node, dict)


def test_channels_operations_and_messages(document: dict[str, Any]) -> None:
    events = {
        "image.reported": [REPORTED, RETRACTED],
        "image.reviewed": [REVIEWED],
        "image.blocked": [BLOCKED],
        "image.unblocked": [UNBLOCKED],
        "image.review-requested": [REVIEW_REQUESTED],
        "image.dead-letter": [DEAD_LETTER],
    }
    assert document["info"]["version"] == __version__
    assert {name: channel["address"] for name, channel in document["channels"].items()} == {
        name: name for name in events
    }
    assert {name: list(channel["messages"]) for name, channel in document["channels"].items()} == events
    assert {
        operation["channel"]["$ref"]: (operation["action"], [ref["$ref"] for ref in operation["messages"]])
        for operation in document["operations"].values()
    } == {
        f"#/channels/{name}": (
            "receive" if name in ("image.reported", "image.reviewed") else "send",
            [f"#/channels/{name}/messages/{event_type}" for event_type in event_types],
        )
        for name, event_types in events.items()
    }
    for event_type, message in document["components"]["messages"].items():
        assert message["contentType"] == "application/cloudevents+json"
        payload = document
        for part in message["payload"]["$ref"].removeprefix("#/").split("/"):
            payload = payload[part]
        assert payload["properties"]["type"]["const"] == event_type


def schemas_of(node: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return a schema and all schemas within it, with their places."""
    if "$ref" in node:
        return
    yield where, node
    parts = {**node.get("properties", {}), **dict(enumerate(node.get("anyOf", [])))}
    parts |= {name: node[name] for name in ("not", "additionalProperties", "items") if name in node}
    for name, part in parts.items():
        yield from schemas_of(part, f"{where}.{name}")


def test_no_schema_is_anonymous(document: dict[str, Any]) -> None:
    ids: list[str] = []
    for name, whole in document["components"]["schemas"].items():
        for where, schema in schemas_of(whole, name):
            assert schema["title"], where
            # Tools know a whole schema by its name, and its parts by their $id.
            assert where == name or schema["$id"].startswith(f"{name}."), where
            ids += [schema["$id"]] if "$id" in schema else []
            # To a strict reader an $id changes what the references below it mean.
            assert "$id" not in schema or "$ref" not in json.dumps(schema), where
    assert len(ids) == len(set(ids)) > 100


def test_each_message_and_channel_tells_a_reader_what_it_is(document: dict[str, Any]) -> None:
    named = [*document["channels"].values(), *document["operations"].values()]
    assert all(one["title"] and one["summary"] for one in named)
    for event_type, message in document["components"]["messages"].items():
        assert message["title"]
        assert message["summary"]
        (example,) = message["examples"]
        validator = Draft202012Validator(json_schema(event_type), format_checker=FormatChecker())
        assert list(validator.iter_errors(example["payload"])) == []


@pytest.mark.parametrize(
    ("url", "name", "protocols", "extension"),
    [
        ("redis://host", "redis", set(), "x-redis-stream"),
        ("unix:///run/redis.sock", "redis", set(), "x-redis-stream"),
        ("kafka+tls://user:secret@host:9093", "kafka", {"kafka"}, None),
        ("amqps://user:secret@host", "rabbitmq", {"amqp"}, "x-rabbitmq-queue"),
        ("nats://host", "nats", set(), "x-nats-jetstream"),
    ],
)
def test_a_running_service_shows_its_own_broker_alone(
    document: dict[str, Any], url: str, name: str, protocols: set[str], extension: str | None
) -> None:
    text = asyncapi.document(url).decode()
    served = json.loads(text)
    assert "secret" not in text
    assert served["servers"] == {name: document["servers"][name]}
    for channel in served["channels"].values():
        assert channel["servers"] == [{"$ref": f"#/servers/{name}"}]
        assert channel["bindings"].keys() == protocols
    reported = served["channels"]["image.reported"]
    assert {key for key in reported if key.startswith("x-")} == ({extension} if extension else set())
    assert served["components"]["schemas"] == document["components"]["schemas"]


def test_bindings_name_what_the_transports_use(document: dict[str, Any]) -> None:
    reported, blocked = (document["channels"][name] for name in ("image.reported", "image.blocked"))
    assert reported["x-rabbitmq-queue"]["name"] == rabbitmq.queue_name("image-moderation", "image.reported")
    for channel in (reported, blocked):
        assert channel["bindings"]["amqp"]["exchange"]["name"] == rabbitmq.EXCHANGE
        assert channel["x-nats-jetstream"]["stream"] == nats.STREAM
        assert channel["bindings"]["kafka"]["topic"] == channel["address"]
        assert channel["x-redis-stream"]["key"] == channel["address"]


def test_the_servers_are_nobodys(document: dict[str, Any]) -> None:
    assert set(document["servers"]) == {"redis", "kafka", "rabbitmq", "nats"}
    assert all(re.fullmatch(r"localhost:\d+", server["host"]) for server in document["servers"].values())
    for channel in document["channels"].values():
        assert channel["servers"] == [{"$ref": f"#/servers/{name}"} for name in document["servers"]]


def without_ids(node: Any) -> Any:
    """Return a copy without the `$id`s; a field of the name `$id` doesn't occur."""
    if isinstance(node, dict):
        return {key: without_ids(value) for key, value in node.items() if key != "$id"}
    return [without_ids(one) for one in node] if isinstance(node, list) else node


@pytest.mark.parametrize("event_type", [row.name for row in EVENT_TYPES])
def test_payloads_are_the_published_schemas(document: dict[str, Any], event_type: str) -> None:
    schemas = document["components"]["schemas"]
    name = document["components"]["messages"][event_type]["payload"]["$ref"].rpartition("/")[2]
    whole = without_ids(json.loads(json.dumps(schemas).replace("#/components/schemas/", "#/$defs/")))
    published = json_schema(event_type)
    assert whole[name].items() <= published.items()
    assert published["$defs"].items() <= whole.items()


@pytest.mark.parametrize("event_type", [row.name for row in EVENT_TYPES])
def test_a_schema_describes_every_field(event_type: str) -> None:
    schema = json_schema(event_type)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:image-moderation:{event_type}"
    Draft202012Validator.check_schema(schema)
    for part in (schema, *schema["$defs"].values()):
        assert part["description"]
        for name, field in part["properties"].items():
            described = field.get("anyOf", [field])[0]
            assert "description" in described or "$ref" in described, name
