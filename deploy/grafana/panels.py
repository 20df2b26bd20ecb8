"""Builders of the panels and queries of the dashboard."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import DataSourceRef, Threshold, ThresholdsMode
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
SELECTED = 'job="$job", instance=~"$instance"'
"""The label matchers of the dashboard's variables."""

LIVE = 'mode="live"'
"""The label matcher of decisions that are published."""

Panel = stat.Panel | timeseries.Panel | heatmap.Panel
Row = tuple[str, Sequence[Panel]]
"""The title of a row, and its panels."""
Steps = tuple[tuple[float, str], ...]
"""Ascending pairs (value, colour): the colour applies from the value up; below the first, `below` does."""


def series(name: str, *matchers: str) -> str:
    """Return the selector of a service metric (`name` without its prefix) for the selected replicas."""
    return f"moderation_{name}{{{', '.join((SELECTED, *matchers))}}}"


def rate(name: str, *matchers: str) -> str:
    """Return the query of a counter's increase per second."""
    return f"rate({series(name, *matchers)}[$__rate_interval])"


def quantiles(histogram: str) -> dict[str, str]:
    """Return the queries of a histogram's 50th, 95th and 99th percentiles, by legend."""
    return {
        f"p{percent}": f"histogram_quantile({percent / 100}, sum by (le) ({rate(f'{histogram}_bucket')}))"
        for percent in (50, 95, 99)
    }


def number(
    title: str,
    description: str,
    expr: str,
    unit: str,
    *,
    steps: Steps = (),
    below: str = "green",
    decimals: int | None = None,
) -> stat.Panel:
    """Return a panel with one current value, coloured by `steps`, over a small graph of its history."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .with_target(_query(expr, "", "A"))
        .unit(unit)
        .thresholds(_thresholds(steps, below))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_mode(BigValueColorMode.VALUE if steps else BigValueColorMode.NONE)
        .graph_mode(BigValueGraphMode.AREA)
        .orientation(VizOrientation.AUTO)
        .no_value("none")
        .height(4)
        .span(3)
    )
    return panel if decimals is None else panel.decimals(decimals)


def graph(
    title: str,
    description: str,
    queries: dict[str, str],
    unit: str,
    *,
    steps: Steps = (),
    stacked: bool = False,
    span: int = 12,
) -> timeseries.Panel:
    """Return a panel of values over time: a line per query, by legend; `steps` are dashed lines."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .min(0)
        .line_width(1)
        .fill_opacity(30 if stacked else 5)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
        )
        .height(8)
        .span(span)
    )
    for letter, (legend, expr) in zip("ABCDEF", queries.items(), strict=False):
        panel = panel.with_target(_query(expr, legend, letter))
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    if steps:
        panel = panel.thresholds(_thresholds(steps, "transparent")).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
        )
    return panel


def spread(title: str, description: str, histogram: str, unit: str) -> heatmap.Panel:
    """Return a heat map of a histogram's observations over time."""
    expr = f"sum by (le) (increase({series(f'{histogram}_bucket')}[$__rate_interval]))"
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .with_target(_query(expr, "{{le}}", "A").format(PromQueryFormat.HEATMAP))
        .calculate(False)
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .color(
            heatmap.HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .fill("dark-orange")
            .exponent(0.5)
            .steps(64)
            .reverse(False)
        )
        .height(8)
        .span(12)
    )


def _query(expr: str, legend: str, letter: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(letter).range()


def _thresholds(steps: Steps, below: str) -> dashboard.ThresholdsConfig:
    return (
        dashboard.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(color=below), *(Threshold(value=value, color=color) for value, color in steps)])
    )
