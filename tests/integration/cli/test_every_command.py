"""All commands explain themselves, and say in one line what failed."""

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
    ("config",),
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


def test_version(call: Call) -> None:
    assert call("--version") == Result(0, "image-moderation 0.1.0\n", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("report", "--xyz"), "No such option: --xyz. See `image-moderation report --help`."),
        (("reprot",), "Did you mean 'report'?"),
        (("report",), "name an IMAGE"),
        (("report", "img-42", "--retract"), "--reporter"),
        (("report", "img-42", "--retract", "--reporter", "u", "--reason", "spam"), "--reason"),
        (("report", "img-42", "--file", "-"), "--file stands alone"),
        (("report", "img-42", "--reason", "Not A Word"), "data.reason"),
        (("report", ""), "data.image_id"),
        (("report", "img-\udcff"), "not UTF-8"),
        (("review", "img-42"), "--verdict"),
        (("review", "img-42", "--verdict", "maybe"), "'upheld', 'cleared'"),
        (("review", "", "--verdict", "upheld"), "data.image_id"),
        (("review", "img-42", "--verdict", "upheld", "--moderator", ""), "data.moderator_id"),
        (("review", "img-42", "--verdict", "upheld", "--moderator", "m\udcff"), "not UTF-8"),
        (("inspect",), "IMAGE"),
        (("serve", "--data-dir", "/tmp"), "--embedded"),
        (("dead-letters", "redrive"), "name dead letters by ID, or take --all"),
        (("dead-letters", "redrive", "x", "--all"), "name dead letters by ID, or take --all"),
        (("dead-letters", "purge", "--all"), "--yes"),
        (("blocked", "--since", "yesterday"), "--since: got 'yesterday'; takes a time"),
        (("republish", "--since", "5"), "--since"),
        (("blocked", "--since", "2026-13-01"), "--since"),
        (("republish", "img-\udcff"), "not UTF-8"),
        (("forget",), "--image"),
    ],
)
def test_a_wrong_call_is_one_line_and_exits_2(call: Call, arguments: tuple[str, ...], says: str) -> None:
    result = call(*arguments, broker_url=CLOSED)
    assert (result.code, result.out) == (2, "")
    assert says in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "server"),
    [
        (("report", "img-42"), "broker"),
        (("review", "img-42", "--verdict", "upheld"), "broker"),
        (("watch",), "broker"),
        (("inspect", "img-42"), "store"),
        (("blocked",), "store"),
        (("republish",), "store"),
        (("republish", "a"), "store"),
        (("forget", "--image", "a"), "store"),
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
