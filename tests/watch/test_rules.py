"""Each alert fires and stays silent as expected, and links to a section of the runbook that is correct."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from prometheus_client.parser import text_string_to_metric_families

from image_moderation.cli.main import app
from image_moderation.domain.policy import Policy
from image_moderation.telemetry.metrics import Metrics
from tests.support.rules import (
    NOT_YET,
    RULES,
    RULES_TEST,
    RUNBOOK,
    alerts,
    load,
    recorded,
    rules,
    runbook_queries,
    selectors,
)
from tests.support.servers import missing

SERVICE = Path(__file__).parents[2] / "service" / "image_moderation"
Key = tuple[str, str]
"""An alert's name, and its `long_window` if several rules have this name."""


def promtool(*arguments: str | Path) -> None:
    program = shutil.which("promtool") or missing("prometheus")
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def metrics() -> set[str]:
    """Return the name of every sample on /metrics."""
    text = Metrics(version="1.0.0", policy=Policy()).render("")[0].decode()
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}


def cases() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Give the test cases: the alert's name, and the labels of the expected alerts with this name."""
    for test in load(RULES_TEST)["tests"]:
        for case in test["alert_rule_test"]:
            yield case["alertname"], [alert["exp_labels"] for alert in case["exp_alerts"]]


def key(name: str, labels: dict[str, Any]) -> Key:
    return name, labels.get("long_window", "")


def slug(heading: str) -> str:
    """Return the anchor that Markdown renderers give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_promtool_finds_the_rules_well_made() -> None:
    promtool("check", "rules", RULES)


def test_promtool_finds_that_they_fire_where_they_should() -> None:
    promtool("test", "rules", RULES_TEST)


def test_each_alert_has_a_case_that_fires_and_one_that_is_silent() -> None:
    all_alerts = {key(rule["alert"], rule["labels"]) for rule in alerts()}
    fires = {key(name, labels) for name, expected in cases() for labels in expected}
    silent = {
        one
        for name, expected in cases()
        for one in all_alerts
        if one[0] == name and one not in {key(name, labels) for labels in expected}
    }
    assert fires == all_alerts
    assert silent == all_alerts


def test_what_the_rules_ask_for_is_measured() -> None:
    known = metrics() | recorded() | {"up"}
    asked = {name for rule in rules() for name in selectors(rule["expr"]).values()}
    assert asked - known == NOT_YET


def test_a_reader_knows_how_urgent_an_alert_is_and_what_it_means() -> None:
    for rule in alerts():
        assert rule["alert"].startswith("ImageModeration")
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
        assert {"summary", "description", "runbook_url"} == set(rule["annotations"]), rule["alert"]


def test_each_alert_has_its_section_of_the_runbook() -> None:
    headings = re.findall(r"^#+ (.*)$", RUNBOOK.read_text(), flags=re.MULTILINE)
    assert len(headings) == len(set(map(slug, headings))), "an anchor would be ambiguous"
    for rule in alerts():
        path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert path == "deploy/runbook.md"
        assert anchor == slug(rule["alert"])
        assert rule["alert"] in headings
    sections = {heading for heading in headings if heading.startswith("ImageModeration")}
    assert sections == {rule["alert"] for rule in alerts()}, "a section for an alert that is gone"


def test_a_section_says_what_an_alert_means_how_to_see_more_and_what_to_do() -> None:
    for section in RUNBOOK.read_text().split("\n### ")[1:]:
        name, _, text = section.partition("\n")
        if name.startswith("ImageModeration"):
            places = [text.find(f"\n**{part}.**") for part in ("Means", "See more", "Do")]
            assert -1 not in places, name
            assert places == sorted(places), name


def test_the_runbooks_queries_ask_for_what_is_measured() -> None:
    known = metrics() | recorded() | {"up", "ALERTS"} | NOT_YET
    assert runbook_queries()
    for query in runbook_queries():
        assert set(selectors(query).values()) <= known, query


def test_the_runbooks_commands_exist() -> None:
    called = re.findall(r"(?:^|`)image-moderation ([a-z][^|#\n`]*)", RUNBOOK.read_text(), re.MULTILINE)
    root = typer.main.get_command(app)
    assert called
    for line in called:
        command: Any = root
        words = line.split()
        while words and hasattr(command, "commands"):
            assert words[0] in command.commands, f"image-moderation {line}"
            command = command.commands[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, f"image-moderation {line}"


def test_the_log_lines_that_the_runbook_names_are_logged() -> None:
    code = "\n".join(path.read_text() for path in SERVICE.rglob("*.py"))
    named = re.findall(r'"event":"([^"]+)"', RUNBOOK.read_text())
    assert named
    for event in named:
        assert f'"{event}"' in code, event


@pytest.mark.parametrize(
    "text", ["a_total{x='1'} > 0", "sum(rate(a_total{x='1'}[5m]))", "absent(a_total{x='1'})"]
)
def test_selectors_are_found_wherever_they_stand(text: str) -> None:
    assert selectors(text) == {'a_total{x="1"}': "a_total"}
