"""All commands explain themselves, and say in one line what failed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import Call, Result

CLOSED = "redis://127.0.0.1:1"
COMMANDS = (
    (),
    ("serve",),
    ("report",),
    ("review",),
    ("watch",),
    ("inspect",),
    ("blocked",),
    ("republish",),
    ("forget",),
    ("backtest",),
    ("config",),
    ("completion",),
    ("contracts",),
    ("dead-letters",),
    ("dead-letters", "list"),
    ("dead-letters", "show"),
    ("dead-letters", "redrive"),
    ("dead-letters", "purge"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: "-".join(command) or "none")
def test_every_command_explains_itself_with_an_example(call: Call, command: tuple[str, ...]) -> None:
    result = call(*command, "--help")
    assert result.code == 0
    assert "Usage: image-moderation" in result.out
    assert not command or "Example: image-moderation" in result.out
    cut_or_typed = re.search(r"<(?!upheld)|list\[|[a-z]\.\.\.$", result.out, re.MULTILINE)
    assert cut_or_typed is None, cut_or_typed


def test_the_help_lists_what_a_user_needs(call: Call) -> None:
    listed = re.findall(r"^  ([a-z-]+)  +[A-Z]", call("--help").out.partition("Commands:")[2], re.MULTILINE)
    assert set(listed) == {command[0] for command in COMMANDS if command} - {"contracts"}


@pytest.mark.parametrize("command", [(), ("dead-letters",)])
def test_a_call_without_a_command_gets_the_help(call: Call, command: tuple[str, ...]) -> None:
    result = call(*command)
    assert (result.code, result.out.rstrip(), result.err) == (2, call(*command, "--help").out.rstrip(), "")


def test_version(call: Call) -> None:
    assert call("--version") == Result(0, "image-moderation 0.1.0\n", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("report", "--xyz"), "No such option: --xyz. See `image-moderation report --help`."),
        (("reprot",), "Did you mean 'report'? See `image-moderation --help`."),
        (("report",), "name an IMAGE"),
        (("report", "img-42", "--retract"), "--reporter"),
        (("report", "img-42", "--retract", "--reporter", "u", "--reason", "spam"), "--reason"),
        (("report", "img-42", "--file", "-"), "--file stands alone"),
        (("report", "img-42", "--reason", "Not A Word"), "report: --reason: takes 1 to 64 of a-z"),
        (("report", ""), "IMAGE: is empty"),
        (("inspect", ""), "IMAGE: is empty"),
        (("forget", "", "--yes"), "IMAGE: is empty"),
        (("report", "img-42", "--group", "g\n"), "report: --group: has a control character"),
        (("report", "img-42", "--reporter", "r" * 257), "report: --reporter: is longer than 256 characters"),
        (("report", "img-\udcff"), "not UTF-8"),
        (("review", "img-42"), "Missing option '--verdict'. Choose from: upheld, cleared. See"),
        (
            ("review", "img-42", "--verdict", "maybe"),
            "'--verdict': 'maybe' is not one of 'upheld', 'cleared'.",
        ),
        (("review", "", "--verdict", "upheld"), "IMAGE: is empty"),
        (("review", "img-42", "--verdict", "upheld", "--moderator", ""), "--moderator: is empty"),
        (("review", "img-42", "--verdict", "upheld", "--moderator", "m\udcff"), "not UTF-8"),
        (("inspect",), "IMAGE"),
        (("serve", "--data-dir", "/tmp"), "--embedded"),
        (("serve", "--broker-port", "6380"), "--embedded"),
        (("serve", "--embedded", "--broker-port", "70000"), "65535"),
        (("dead-letters", "redrive"), "name dead letters by ID, or take --all"),
        (("dead-letters", "redrive", "x", "--all"), "name dead letters by ID, or take --all"),
        (("dead-letters", "purge", "--all"), "--yes"),
        (("dead-letters", "purge", "x"), "no terminal to ask on; confirm with --yes"),
        (("blocked", "--limit", "0"), "'--limit': takes 1 or more."),
        (("blocked", "--limit", "many"), "'--limit': is not a whole number."),
        (("completion", "tcsh"), "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
        (("contracts", "--dir", "pyproject.toml"), "dir 'pyproject.toml' is a file"),
        (("blocked", "--since", "yesterday"), "--since: got 'yesterday'; takes a time"),
        (("republish", "--since", "5"), "--since"),
        (("blocked", "--since", "2026-13-01"), "--since"),
        (("republish", "img-\udcff"), "not UTF-8"),
        (("republish",), "name images, or take --all"),
        (("republish", "--dry-run"), "name images, or take --all"),
        (("republish", "a", "--all"), "name images or take --all, not both"),
        (("forget",), "IMAGE"),
        (("backtest",), "name a FILE of recorded events, `-` for standard input, or take --from-broker"),
        (("backtest", "a", "--from-broker"), "name files or take --from-broker, not both"),
        (("backtest", "a", "--differences", "-1"), "'--differences': takes 0 or more."),
        (("backtest", "a", "--settings", "=b"), "--settings: takes NAME=FILE"),
        (("backtest", "a", "--settings", "b=none"), "none: can't be read: No such file or directory"),
        (("backtest", "a", "--settings", "b", "--settings", "b"), "--settings: b: two have this name"),
        (("backtest", "a", "--plot", "out.txt"), "--plot: out.txt: takes a name that ends with .png"),
        (("backtest", "a", "--plot", "none/out.png"), "--plot: none/out.png: there is no such folder"),
        (("forget", "a"), "no terminal to ask on; confirm with --yes"),
    ],
)
def test_a_wrong_call_is_one_line_and_exits_2(call: Call, arguments: tuple[str, ...], says: str) -> None:
    result = call(*arguments, broker_url=CLOSED)
    assert (result.code, result.out) == (2, "")
    assert says in result.err
    assert result.err.count("\n") == 1
    assert not re.search(r"\\|should|Value error|Input|String|<", result.err), "no library speaks"


@pytest.mark.parametrize(
    ("arguments", "server"),
    [
        (("report", "img-42"), "broker"),
        (("review", "img-42", "--verdict", "upheld"), "broker"),
        (("watch",), "broker"),
        (("inspect", "img-42"), "store"),
        (("blocked",), "store"),
        (("republish", "--all"), "store"),
        (("republish", "a", "--dry-run"), "store"),
        (("forget", "a", "--yes"), "store"),
        (("backtest", "--from-broker"), "broker"),
        (("dead-letters", "list"), "broker"),
        (("dead-letters", "show", "x"), "broker"),
        (("dead-letters", "redrive", "--all"), "broker"),
        (("dead-letters", "purge", "--all", "--yes"), "broker"),
    ],
)
def test_a_server_that_is_away_is_one_line_and_exits_1(
    call: Call, arguments: tuple[str, ...], server: str
) -> None:
    result = call(*arguments, broker_url=CLOSED)
    assert (result.code, result.out) == (1, "")
    assert f"the {server} is not available" in result.err
    assert result.err.count("\n") == 1


def test_a_result_that_can_not_be_written_is_one_line_and_exits_1() -> None:
    with Path("/dev/full").open("w") as full:
        line = [sys.executable, "-m", "image_moderation", "--version"]
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == "standard output can't be written: No space left on device\n"


@pytest.mark.parametrize("command", [("config",), ("report", "img-42"), ("serve",), ("watch",)])
def test_unusable_settings_are_a_line_each_and_exit_2(call: Call, command: tuple[str, ...]) -> None:
    result = call(*command, block_treshold="5", batch_size="none")
    assert (result.code, result.out) == (2, "")
    variables = [line.partition(":")[0] for line in result.err.splitlines()]
    assert variables == [
        "MODERATION_BLOCK_TRESHOLD",
        "MODERATION_BROKER_URL",
        "MODERATION_BATCH_SIZE",
    ]
