"""`completion`: the scripts for the shells, and what they get as an answer."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import Call

COMMAND = Path(sys.executable).with_name("image-moderation")


def completed(*words: str) -> list[str]:
    """The words that bash offers for the last of these, with the script loaded as a user would."""
    script = """
        source <("$1" completion bash); shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _image_moderation_completion "$1"
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    line = ["bash", "-c", script, "bash", str(COMMAND), str(COMMAND), *words]
    result = subprocess.run(line, capture_output=True, check=True, timeout=60, text=True)
    assert result.stderr == ""
    return result.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("rep",), ["report", "republish"]),
        (("dead-letters", "re"), ["redrive"]),
        (("republish", "--d"), ["--dry-run"]),
        (("review", "img-42", "--verdict", ""), ["upheld", "cleared"]),
    ],
)
def test_bash_completes(words: tuple[str, ...], offered: list[str]) -> None:
    assert completed(*words) == offered


def test_hidden_commands_are_not_offered() -> None:
    assert "contracts" not in completed("")


@pytest.mark.parametrize(
    ("shell", "asks"),
    [
        ("zsh", {"_TYPER_COMPLETE_ARGS": "image-moderation rep"}),
        (
            "fish",
            {"_TYPER_COMPLETE_ARGS": "image-moderation rep", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
        ),
    ],
)
def test_other_shells_are_answered_what_their_scripts_ask(
    call: Call, shell: str, asks: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = call("completion", shell).out
    assert f"_IMAGE_MODERATION_COMPLETE=complete_{shell}" in script
    assert all(name in script for name in asks)
    for name, value in (asks | {"_IMAGE_MODERATION_COMPLETE": f"complete_{shell}"}).items():
        monkeypatch.setenv(name, value)
    answer = subprocess.run([COMMAND], capture_output=True, check=True, timeout=60, text=True).stdout
    assert "report" in answer
    assert "republish" in answer
    assert "review" not in answer
