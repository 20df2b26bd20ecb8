"""The files, tests, settings and decisions that the documents name exist."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from image_moderation.cli.main import app
from image_moderation.settings import Settings
from tests.support.service_process import ROOT

PAGES = sorted(
    path.relative_to(ROOT)
    for folder in (".", "contracts", "deploy", "docs", "docs/decisions", "examples/gallery")
    for path in (ROOT / folder).glob("*.md")
)
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
TOP = ("contracts", "deploy", "docs", "examples", "service", "tests")


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    links = LINK.findall((ROOT / page).read_text())
    assert not [link for link in links if not (ROOT / page.parent / link).exists()]


def test_the_recipes_name_files_that_are_there() -> None:
    recipes = (ROOT / "CONTRIBUTING.md").read_text().partition("## Recipes")[2].partition("## Look at")[0]
    packages = {path.name for path in (ROOT / "service" / "image_moderation").iterdir()}
    for name in re.findall(r"`([\w./-]+)`", recipes):
        first = name.partition("/")[0]
        if first in TOP:
            assert (ROOT / name).exists(), name
        elif first in packages:
            assert (ROOT / "service" / "image_moderation" / name).exists(), name


def test_the_readme_has_every_setting() -> None:
    table = (ROOT / "README.md").read_text().partition("### Configuration")[2].partition("### Command")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `MODERATION_")]
    named = [name for row in rows for name in re.findall(r"`MODERATION_(\w+)`", row)]
    assert [name.lower() for name in named] == list(Settings.model_fields)


def test_the_page_of_the_commands_has_each_with_its_options() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    calls = re.findall(r"^\| `(.+?)` \|", page.partition("## `--json`")[0], re.MULTILINE)
    root: Any = get_command(app)
    commands = {name: command for name, command in root.commands.items() if not command.hidden}
    commands |= {f"dead-letters {name}": one for name, one in commands.pop("dead-letters").commands.items()}
    for name, command in commands.items():
        told = " ".join(call for call in calls if f"{call} ".startswith(f"{name} "))
        assert told, name
        options = {option for one in command.params for option in one.opts if option.startswith("--")}
        assert set(re.findall(r"--[a-z-]+", told)) == options - {"--json"}, name


def test_the_guarantees_name_tests_that_are_there() -> None:
    """`file.py::test_name`; a name that ends with an ellipsis is the beginning of some."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    modules = {path.name: path.read_text() for path in (ROOT / "tests").rglob("*.py")}
    named = re.findall(r"`(?:tests/)?(?:\w+/)*(test_\w+\.py)(?:::(test_\w+)(…)?)?`", text)
    assert len(named) > 20
    for module, test, begins in named:
        assert module in modules, module
        assert not test or f"def {test}{'' if begins else '('}" in modules[module], test


def test_the_index_has_every_decision() -> None:
    index = (ROOT / "docs" / "decisions" / "README.md").read_text()
    pages = [path.name for path in sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))]
    assert LINK.findall(index) == pages


def test_nothing_tells_to_install_a_package_that_is_not_published() -> None:
    files = [ROOT / page for page in PAGES] + sorted((ROOT / "service").rglob("*.py"))
    assert not [path for path in files if re.search(r"pip install\W+image-moderation", path.read_text())]


def test_no_event_to_type_has_a_time_that_ages() -> None:
    for page in PAGES:
        for block in re.findall(r"^```sh\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL):
            assert not re.search(r'"time": *"\d', block), page
