"""The alert rules, the runbook, and the metrics that their expressions use."""

import re
from pathlib import Path
from typing import Any

import promql_parser
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yaml"
RULES_TEST = DEPLOY / "prometheus" / "rules_test.yaml"
RUNBOOK = DEPLOY / "runbook.md"
DASHBOARD = DEPLOY / "grafana" / "dashboard.json"

NOT_YET: set[str] = set()
"""Metrics that rules may use although the service doesn't have them yet."""


def runbook_blocks(language: str) -> list[str]:
    """Return the runbook's code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", RUNBOOK.read_text(), flags=re.DOTALL | re.MULTILINE)


def runbook_queries() -> list[str]:
    return [line for block in runbook_blocks("promql") for line in block.splitlines()]


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def rules() -> list[dict[str, Any]]:
    return [rule for group in load(RULES)["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def recorded() -> set[str]:
    return {rule["record"] for rule in rules() if "record" in rule}


def selectors(expression: str) -> dict[str, str]:
    """Return each selector of an expression, as PromQL, with the name of its metric."""
    found: dict[str, str] = {}

    def note(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            assert node.name, f"a selector without a name in {expression}"
            found[str(node)] = node.name

    promql_parser.walk(promql_parser.parse(expression), note)
    return found
