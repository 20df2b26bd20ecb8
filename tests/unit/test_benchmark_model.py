"""The count that the demo, the benchmark and the fault tests compare with; expectations by hand."""

import ast
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import compare, load, model
from tests.benchmarks.compare import differences
from tests.benchmarks.load import GANG, plain_reports, sample
from tests.benchmarks.model import Kind, Letter, Message, count

NOW = 1_800_000_000_000
REASONS = {
    "empty",
    "invalid",
    "not_an_event",
    "not_json",
    "not_utf8",
    "time_in_future",
    "too_large",
    "unknown_type",
}


def event(
    reporter: str, second: int = 0, *, retract: bool = False, group: str | None = None, image: str = "i"
) -> Message:
    data = {"image_id": image, "reporter_id": reporter} | ({"reporter_group": group} if group else {})
    kind = "image.report-retracted.v1" if retract else "image.reported.v1"
    body = {"type": kind, "time": f"2026-11-23T10:00:{second:02}Z", "data": data}
    return Message(json.dumps(body).encode(), Kind.RETRACTION if retract else Kind.REPORT)


def blocked(*messages: Message, threshold: int = 3) -> tuple[set[str], set[str]]:
    expected = count(messages, threshold)
    return set(expected.must), set(expected.may)


def test_distinct_reporters_block() -> None:
    assert blocked(event("a"), event("b"), event("c")) == ({"i"}, {"i"})


def test_one_short_of_the_threshold_does_not() -> None:
    assert blocked(event("a"), event("b")) == (set(), set())


def test_the_same_person_counts_once() -> None:
    assert blocked(event("a"), event("b"), event("b", 1), event("b", 1)) == (set(), set())


def test_images_count_apart() -> None:
    assert blocked(event("a"), event("b"), event("c", image="j")) == (set(), set())


def test_a_group_counts_once() -> None:
    assert blocked(event("a", group="g"), event("b", group="g"), event("c")) == (set(), set())
    assert blocked(event("a", group="g"), event("b", group="h"), event("c")) == ({"i"}, {"i"})


def test_a_group_is_not_a_person_of_that_name() -> None:
    assert blocked(event("a"), event("b"), event("c", group="a")) == ({"i"}, {"i"})


def test_whoever_changes_groups_still_counts_once() -> None:
    assert blocked(event("a", group="g"), event("a", 1, group="h"), event("b")) == (set(), set())


def test_a_retraction_makes_the_answer_an_interval() -> None:
    assert blocked(event("a"), event("b"), event("c"), event("c", 1, retract=True)) == (set(), {"i"})


def test_a_redelivered_report_does_not_undo_its_retraction() -> None:
    messages = [event("c", 1, retract=True), event("a"), event("b"), event("c", 0)]
    assert blocked(*messages) == (set(), {"i"})


def test_at_equal_time_the_retraction_stands_in_either_order() -> None:
    report, retraction = event("c", 1), event("c", 1, retract=True)
    assert blocked(event("a"), event("b"), report, retraction) == (set(), {"i"})
    assert blocked(event("a"), event("b"), retraction, report) == (set(), {"i"})


def test_a_later_report_counts_again() -> None:
    messages = [event("a"), event("b"), event("c", 1, retract=True), event("c", 2)]
    assert blocked(*messages) == ({"i"}, {"i"})


def test_the_deciding_message_is_the_first_that_reaches_the_threshold() -> None:
    messages = [event("a"), event("a", 1), event("b"), event("c"), event("d")]
    assert count(messages, 3).decided_by == {"i": 3}


def test_malformed_messages_are_counted_as_they_were_made() -> None:
    letter = Message(b"", Kind.MALFORMED, "empty")
    expected = count([letter, letter, event("a")], 1)
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert expected.letters == {Letter("empty", empty): 2}
    assert expected.kinds == {Kind.MALFORMED: 2, Kind.REPORT: 1}


def test_reports_beyond_one_window_are_refused() -> None:
    old = event("a")._replace(body=event("a").body.replace(b"2026-11-23", b"2026-09-23"))
    with pytest.raises(ValueError, match="more than one window"):
        count([old, event("b")])


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("size", [100, 500, 3_000])
def test_a_sample_has_one_answer_and_all_kinds_of_trouble(size: int, seed: int) -> None:
    messages = sample(size, seed=seed, now=NOW, malformed=0.15)
    expected = count(messages)
    assert expected.exact
    assert expected.must
    assert expected.decided_by.keys() == expected.must
    assert set(expected.kinds) == set(Kind)
    assert {letter.reason for letter in expected.letters} == REASONS
    assert len(messages) == pytest.approx(size, abs=5)
    assert any(GANG.encode() in message.body for message in messages)
    assert not any(image.startswith(GANG) for image in expected.may)


def test_a_seed_makes_the_same_sample_again() -> None:
    assert sample(300, seed=3, now=NOW) == sample(300, seed=3, now=NOW)
    assert sample(300, seed=3, now=NOW) != sample(300, seed=4, now=NOW)


def test_plain_reports_are_what_they_say() -> None:
    messages = list(plain_reports(500, seed=1, now=NOW, images=20))
    assert {message.kind for message in messages} == {Kind.REPORT}
    assert 250 < len(messages[0].body) < 350
    assert count(messages).exact


def block(image: str, *, people: int = 3, event_id: str = "") -> bytes:
    data = {"image_id": image, "distinct_reporters": people, "reasons": {}}
    return json.dumps({"id": event_id or f"id-{image}", "data": data}).encode()


def letter(body: bytes, reason: str) -> bytes:
    return json.dumps({"data": {"reason": reason, "body": base64.b64encode(body).decode()}}).encode()


THREE = [event(who, image=image) for image in ("i", "j") for who in "abc"]
BROKEN = Message(b"{", Kind.MALFORMED, "not_json")
EXPECTED = count([*THREE, event("a", image="k"), BROKEN], 3)
RIGHT = [block("i"), block("j")]
LETTERS = [letter(b"{", "not_json")]


def test_the_right_outcome_has_no_differences() -> None:
    assert differences(EXPECTED, RIGHT, LETTERS) == []


@pytest.mark.parametrize(
    ("blocks", "letters", "line"),
    [
        ([block("i")], LETTERS, "not blocked, though enough people reported it: j"),
        ([*RIGHT, block("k")], LETTERS, "blocked, though not enough people reported it: k"),
        ([*RIGHT, block("j", event_id="x")], LETTERS, "blocked more than once: j (2 times)"),
        ([block("i"), block("j", people=4)], LETTERS, "blocked by another count than 3: j (4)"),
        ([block("i"), block("j", event_id="id-i")], LETTERS, "event ids used twice: id-i"),
        (RIGHT, [], "malformed, but no dead letter: not_json (1)"),
        (RIGHT, LETTERS * 2, "a dead letter that should not be there: not_json (1)"),
    ],
)
def test_a_tampered_outcome_is_told(blocks: list[bytes], letters: list[bytes], line: str) -> None:
    assert differences(EXPECTED, blocks, letters) == [line]


def test_a_letter_whose_body_was_changed_is_told() -> None:
    assert differences(EXPECTED, RIGHT, [letter(b"[", "not_json")]) == [
        "malformed, but no dead letter: not_json (1)",
        "a dead letter that should not be there: not_json (1)",
    ]


@pytest.mark.parametrize("module", [model, load, compare])
def test_it_shares_no_code_with_the_service(module: Any) -> None:
    tree = ast.parse(Path(module.__file__).read_text())
    imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported += [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    assert not {name.partition(".")[0] for name in imported} & {"image_moderation", "faststream"}
