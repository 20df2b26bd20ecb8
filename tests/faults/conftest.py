"""Options of the fault suite, and the table that it makes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from image_moderation.embedded import EmbeddedRedis
from tests.support.brokers.harness import Harness
from tests.support.faulty_site import APART, FaultySite, Row
from tests.support.servers import RedisServers, clean

SEED = 20
PROPERTY = "fault"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption(
        "--seed", type=int, default=SEED, help="of the messages, and of when and whom a fault befalls"
    )
    group.addoption("--minutes", type=float, default=1.0, help="of the soak, on each broker")
    group.addoption("--faults-json", type=Path, help="where the table goes, for machines")


def pytest_report_header(config: pytest.Config) -> str:
    return f"faults: --seed {_seed(config)}"


def _seed(config: pytest.Config) -> int:
    # These options exist only where this folder is named on the command line.
    return int(config.getoption("--seed", default=SEED))


@pytest.fixture
def seed(pytestconfig: pytest.Config) -> int:
    return _seed(pytestconfig)


@pytest.fixture
def minutes(pytestconfig: pytest.Config) -> float:
    return float(pytestconfig.getoption("--minutes", default=1.0))


@pytest.fixture
def record(record_property: Callable[[str, object], None]) -> Callable[[Row], None]:
    """Takes a row for the table."""
    return lambda row: record_property(PROPERTY, row.as_dict())


@pytest.fixture
def faulty_site(
    request: pytest.FixtureRequest,
    harnesses: Callable[[str], Harness],
    redis_servers: RedisServers,
    tmp_path: Path,
) -> Iterator[FaultySite]:
    """A site on the broker that is asked for; of Redis also with a store apart."""
    name = request.param
    harness = harnesses("redis" if name == APART else name)
    store: EmbeddedRedis = redis_servers.get("valkey")
    harness.fresh()
    clean(store.url)
    with FaultySite(name, harness, store, tmp_path) as site:
        yield site


def pytest_terminal_summary(terminalreporter: Any) -> None:
    # From the reports, which also reach the controller of a run spread over several processes.
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, row in getattr(report, "user_properties", ()) if _is_call(report) else ():
                if name == PROPERTY:
                    key = row["fault"], row["broker"]
                    rows[key] = _together(rows[key], row) if key in rows else row
    path: Path | None = terminalreporter.config.getoption("--faults-json", default=None)
    if path is None or not rows:
        return
    ordered = [rows[key] for key in sorted(rows)]
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"seed": _seed(terminalreporter.config), "rows": ordered}, indent=1) + "\n")
    terminalreporter.section(f"faults, --seed {_seed(terminalreporter.config)}")
    for line in table(ordered):
        terminalreporter.write_line(line)


def _is_call(report: Any) -> bool:
    return getattr(report, "when", None) == "call"


def _together(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    sums = {name: one[name] + other[name] for name in ("runs", "sent", "lost", "doubled", "repeats")}
    longest = {
        name: max((row[name] for row in (one, other) if row[name] is not None), default=None)
        for name in ("recovery", "told")
    }
    return one | sums | longest


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Return it in Markdown."""
    lines = [
        "| fault | broker | runs | reports sent | lost | doubled | told after, s | longest recovery, s |",
        "| --- | --- | --: | --: | --: | --: | --: | --: |",
    ]
    for row in rows:
        told, recovery = ("" if row[name] is None else f"{row[name]:.1f}" for name in ("told", "recovery"))
        lines.append(
            f"| {row['fault']} | {row['broker']} | {row['runs']} | {row['sent']:,} | {row['lost']} | "
            f"{row['doubled']} | {told} | {recovery} |"
        )
    return lines
