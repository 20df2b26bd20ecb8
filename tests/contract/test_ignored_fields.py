"""Fields that the contract says are ignored, with whatever JSON they may hold, in both modes."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_moderation.domain.message import RawMessage
from image_moderation.events.parse import Malformed, parse

NOW = 1_795_428_300_000
DATA = {"image_id": "img-42", "reporter_id": "user-7"}
ATTRIBUTES = {"specversion": "1.0", "id": "1", "source": "/gallery", "type": "image.reported.v1"}
IN_BINARY_MODE = {f"ce_{name}": value for name, value in ATTRIBUTES.items()}
LEVELS = 200
"""Of nested objects and arrays; the event and its `data` are the first two."""
DIGITS = 4_300


def parsed(body: str, headers: dict[str, str] | None = None) -> Any:
    message = RawMessage("image.reported", "1", body.encode(), NOW, headers=headers or {})
    return parse(message, NOW, 1_000_000)


def with_field(value: str) -> tuple[tuple[str, dict[str, str]], ...]:
    """The same report with an unknown field: an attribute, in the data, and in binary mode's data."""
    data = f'{{"unknown": {value}, {json.dumps(DATA)[1:]}'
    outer = json.dumps({**ATTRIBUTES, "data": DATA})
    return (
        (f'{{"unknown": {value}, {outer[1:]}', {}),
        (outer.replace(json.dumps(DATA), data), {}),
        (data, IN_BINARY_MODE),
    )


REPORT = parsed(json.dumps({**ATTRIBUTES, "data": DATA}))

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
    | st.sampled_from(["NaN", "Infinity", "\0", "🌸", '"', "\\ud800"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(anything, st.booleans())
def test_whatever_json_an_ignored_field_holds_the_report_is_the_same(value: Any, escaped: bool) -> None:
    for body, headers in with_field(json.dumps(value, ensure_ascii=escaped)):
        assert parsed(body, headers) == REPORT


@pytest.mark.parametrize(
    "value",
    [
        "1" * DIGITS,
        "-" + "1" * DIGITS,
        "1" * DIGITS + "." + "1" * 9_000,
        "1e999",
        "-1e99999",
        '["NaN", 1e999]',
        "1e-99999",
        "[" * (LEVELS - 2) + "]" * (LEVELS - 2),
        '{"a":' * (LEVELS - 2) + "0" + "}" * (LEVELS - 2),
        "[" * (LEVELS - 2) + "1" + "]" * (LEVELS - 2),
        r'"\ud83c\udf38"',
        r'"\u0000"',
    ],
    ids=lambda value: f"{value[:12]}-{len(value)}",
)
def test_up_to_the_limits_of_the_contract_it_is_ignored(value: str) -> None:
    for body, headers in with_field(value):
        assert parsed(body, headers) == REPORT


@pytest.mark.parametrize(
    "value",
    [
        "1" * (DIGITS + 1),
        "-" + "1" * (DIGITS + 1),
        "1" * (DIGITS + 1) + ".5",
        "[" * (LEVELS + 1) + "]" * (LEVELS + 1),
        r'"\ud800"',
        r'"\udc00"',
        r'"\ud800\ud800"',
        r'{"\ud800": 1}',
        "NaN",
        "-Infinity",
        "01",
        "'a'",
    ],
    ids=lambda value: f"{value[:12]}-{len(value)}",
)
def test_beyond_them_the_message_is_no_json(value: str) -> None:
    for body, headers in with_field(value):
        with pytest.raises(Malformed) as refused:
            parsed(body, headers)
        assert refused.value.reason == "not_json"
        assert "\n" not in str(refused.value)


def test_data_in_binary_mode_adds_no_attribute() -> None:
    for body in ('{"image_id": "a"}, "type": "image.reported.v1"', '{}}, {"a": 1', "{} {}"):
        with pytest.raises(Malformed) as refused:
            parsed(body, IN_BINARY_MODE)
        assert refused.value.reason == "not_json"
