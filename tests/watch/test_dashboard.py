"""The dashboard is up to date with its code, and each panel says which values are good."""

import json
from collections.abc import Iterator
from typing import Any

from deploy.grafana.dashboard import render
from tests.support.rules import DASHBOARD


def panels() -> Iterator[dict[str, Any]]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        if panel["type"] != "row":
            yield panel


def test_the_file_is_what_the_code_writes() -> None:
    assert DASHBOARD.read_text() == render(), "generate it again: make dashboard"


def test_each_panel_says_what_is_good_and_in_which_unit_and_can_be_told_from_the_others() -> None:
    titles = [panel["title"] for panel in panels()]
    assert len(titles) == len(set(titles))
    for panel in panels():
        assert "Good: " in panel["description"], panel["title"]
        config = panel["options"]["yAxis"] if panel["type"] == "heatmap" else panel["fieldConfig"]["defaults"]
        assert config["unit"], panel["title"]


def test_no_panel_is_bound_to_one_installation() -> None:
    for panel in panels():
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
        for target in panel["targets"]:
            assert 'job="$job"' in target["expr"], panel["title"]


def test_no_panel_lies_over_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
