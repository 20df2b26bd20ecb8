"""On a terminal: bars and lines never run together, and what removes for good asks first."""

from pathlib import Path

import pytest
import redis

from tests.support.case_values import case_key
from tests.support.command_line import Call
from tests.support.terminal import terminal

DEAD_LETTERS = "image.dead-letter"


def test_errors_stand_on_lines_of_their_own_beside_a_bar(cli: Call, tmp_path: Path) -> None:
    path = tmp_path / "reports.jsonl"
    good = '{"image_id": "a", "reporter_id": "r"}\n' * 4_000
    path.write_text(f"[]\n{good}[]\n{good}[]\n")
    with terminal() as screen:
        result = cli("report", "--file", str(path))
    assert b"publishing" in screen.written, "there was a bar"
    said = [f"line {n}: not_an_event: a JSON array, not an object" for n in (1, 4_002, 8_003)]
    assert screen.lines == [*said, "3 of 8003 lines were refused"]
    assert (result.code, result.out) == (1, "8000 published, 3 refused\n")


@pytest.mark.usefixtures("cases")
def test_a_bar_leaves_the_result_on_standard_output(cli: Call) -> None:
    with terminal() as screen:
        result = cli("blocked", "--json")
    assert b"scanning" in screen.written, "there was a bar"
    assert screen.lines == []
    assert (result.code, len(result.out.splitlines())) == (0, 2)


@pytest.mark.usefixtures("cases")
@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"], ids=["no", "nothing", "the end"])
def test_forget_keeps_what_nobody_agreed_to(cli: Call, client: redis.Redis, answer: str) -> None:
    with terminal(answer) as screen:
        result = cli("forget", "people")
    assert (result.code, result.out) == (1, "")
    assert screen.lines[0].startswith("Forget people, which was blocked, revision 1? [y/N]")
    assert screen.lines[-1] == "nothing was removed"
    assert client.exists(case_key("people")) == 1


@pytest.mark.usefixtures("cases")
def test_forget_removes_what_was_agreed_to(cli: Call) -> None:
    with terminal("y\n"):
        result = cli("forget", "cleared")
    assert result.code == 0
    assert result.out.startswith("cleared: forgotten")
    with terminal() as screen:
        assert cli("forget", "cleared").code == 1
    assert screen.lines == ["cleared: nothing is known about it"]


def test_purge_removes_what_it_asked_about(cli: Call, client: redis.Redis) -> None:
    for body in ("{", "["):
        client.xadd(DEAD_LETTERS, {"__data__": body})
    question = "Remove 2 dead letters for good? [y/N]"
    with terminal("n\n") as screen:
        assert cli("dead-letters", "purge", "--all").code == 1
    assert screen.lines == [f"{question} n", "nothing was removed"]
    assert client.xlen(DEAD_LETTERS) == 2
    with terminal("yes\n") as screen:
        purged = cli("dead-letters", "purge", "--all")
    assert (purged.code, purged.out, screen.lines) == (0, "2 purged\n", [f"{question} yes"])
    assert client.xlen(DEAD_LETTERS) == 0
    with terminal():
        assert cli("dead-letters", "purge", "--all").out == "0 purged\n"
