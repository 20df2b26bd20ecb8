"""Writes dashboard.json, the Grafana dashboard, in this folder: `make dashboard`.

`tests/watch/test_live.py` runs its queries against a real Prometheus.
"""

import json
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    VariableRefresh,
    VariableSort,
)

from deploy.grafana.panels import DATASOURCE
from deploy.grafana.rows import rows

OUTPUT = Path(__file__).with_suffix(".json")


def build() -> dashboard.Dashboard:
    board = (
        dashboard.Dashboard("Image moderation")
        .uid("image-moderation")
        .description("Reports in, decisions out. deploy/runbook.md says what to do at each alert.")
        .tags(["image-moderation"])
        .timezone("browser")
        .refresh("30s")
        .time("now-6h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .editable()
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_variable("job", "Job", "label_values(moderation_build_info, job)"))
        .with_variable(
            _variable("instance", "Replica", 'label_values(moderation_build_info{job="$job"}, instance)')
            .multi(True)
            .include_all(True)
            .all_value(".*")
        )
    )
    for title, panels in rows():
        board.with_row(dashboard.Row(title))
        for panel in panels:
            board.with_panel(panel)
    return board


def render() -> str:
    """Return the text of dashboard.json."""
    board = json.loads(JSONEncoder().encode(build().build()))
    # The SDK gives panels no ids; links to a panel need a stable id.
    for number, panel in enumerate(board["panels"], 1):
        panel["id"] = number
    return json.dumps(board, indent=2, sort_keys=True) + "\n"


def _variable(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


if __name__ == "__main__":
    OUTPUT.write_text(render())
