"""How the scripts are put together: arguments, constants, parts, and the names they share with the rule."""

import ast
import re
from importlib.resources import files
from typing import NamedTuple

import pytest

from image_moderation.store import layout, lua, packing, replies
from image_moderation.store.arguments import ApplyArguments, AsText
from image_moderation.store.formats import Constant, Format
from image_moderation.store.signature import Signature, inline

SCRIPTS = files("image_moderation.store").joinpath("scripts", "apply")
PARTS = {path.name.removesuffix(".lua"): path.read_text() for path in SCRIPTS.iterdir()}


class Arguments(NamedTuple):
    """One field of each kind."""

    number: int
    option: int | None
    flag: bool
    raw: bytes
    text: str
    until: AsText
    since: AsText | None
    rest: tuple[str, ...]


def test_each_argument_is_a_local_of_its_name() -> None:
    signature = Signature(Arguments)
    assert signature.preamble.splitlines() == [
        "local number = tonumber(ARGV[1])",
        "local option = tonumber(ARGV[2])",
        'local flag = ARGV[3] == "1"',
        "local raw = ARGV[4]",
        "local text = ARGV[5]",
        "local until = ARGV[6]",
        "local since = ARGV[7]",
        "local before_rest = 7",
    ]
    arguments = Arguments(5, None, True, b"\0", "é", 6, None, ("a", "b"))
    assert signature.values(arguments) == [5, b"", 1, b"\0", "é", 6, b"", "a", "b"]
    assert signature.values(arguments._replace(flag=False, option=0))[1:3] == [0, 0]


def test_constants_become_literals_where_their_whole_name_stands() -> None:
    constants: dict[str, Constant] = {
        "SIZE": 3,
        "NAME": 'a"\\b',
        "NO": bytes(2),
        "CODES": {"one": 1, "two": 2},
    }
    text = 'SIZE + SIZES + MY_SIZE .. NAME .. NO .. CODES["one"]'
    assert inline(text, constants) == (
        '3 + SIZES + MY_SIZE .. "a\\034\\092b" .. "\\000\\000" .. ({ one = 1, two = 2 })["one"]'
    )
    assert inline(text, {}) == text


def test_a_format_means_the_same_to_both_sides() -> None:
    layout = Format("I2BBI6c8I4")
    assert (layout.lua, layout.python.format, layout.size) == ("<I2BBI6c8I4", "<HBB6s8sI", 22)


def test_every_constant_of_apply_is_used_and_known() -> None:
    constants = layout.CONSTANTS | packing.CONSTANTS | replies.CONSTANTS
    assert len(constants) == len(layout.CONSTANTS) + len(packing.CONSTANTS) + len(replies.CONSTANTS)
    used = set(re.findall(r"\b[A-Z][A-Z_]+\b", re.sub("--.*", "", "".join(PARTS.values()))))
    assert set(constants) <= used
    own = set(re.findall(r"^local ([A-Z_]+) =", lua.APPLY.text, re.MULTILINE))
    code = re.sub(r'--.*|"[^"\n]*"', "", lua.APPLY.text)
    assert set(re.findall(r"\b[A-Z][A-Z_]+\b", code)) == own | {"KEYS", "ARGV"}


def test_the_header_names_every_argument() -> None:
    for name in ApplyArguments._fields:
        assert re.search(rf"^--.*\b{name}\b", PARTS["header"], re.MULTILINE), name


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_short_and_is_in_the_script(part: str) -> None:
    assert len(PARTS[part].splitlines()) <= 100
    assert f"\n-- apply/{part}.lua\n" in lua.APPLY.text


@pytest.mark.parametrize("part", ["records", "decisions", "evaluation", "reports", "reviews"])
def test_a_part_has_the_functions_of_the_rule_in_their_order(part: str) -> None:
    module = files("image_moderation.domain").joinpath("rules", f"{part}.py").read_text()
    rule = [node.name for node in ast.parse(module).body if isinstance(node, ast.FunctionDef)]
    script = re.findall(r"^local function (\w+)", PARTS[part], re.MULTILINE)
    # The script keeps the score by what changes, and never counts all groups.
    assert [name for name in script if name in rule] == [name for name in rule if name != "distinct_groups"]


def test_every_outcome_has_a_letter_of_its_own() -> None:
    assert len({*replies.LETTERS.values()}) == len(replies.LETTERS)
