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


def pytest_configure(config: pytest.Config) -> None:
    path: Path | None = config.getoption("--faults-json", default=None)
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Table(path, _seed(config)))


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


class Table:
    """The rows so far, written down after each test, so that a run which is ended has its table as well."""

    def __init__(self, path: Path, seed: int) -> None:
        self._path = path
        self._seed = seed
        self._rows: dict[tuple[str, str], dict[str, Any]] = {}
        self._failed: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Also called in the controller of a run spread over several processes."""
        if report.failed:
            self._failed[report.nodeid] = str(report.longrepr).strip().splitlines()[-1]
        elif report.when != "call":
            return
        if report.when == "call":
            for name, row in report.user_properties:
                if name == PROPERTY and isinstance(row, dict):
                    key = row["fault"], row["broker"]
                    self._rows[key] = _together(self._rows[key], row) if key in self._rows else row
        made = {"seed": self._seed, "rows": self._ordered(), "failed": self._failed}
        self._path.parent.mkdir(exist_ok=True)
        self._path.write_text(json.dumps(made, indent=1) + "\n")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print it."""
        terminalreporter.section(f"faults, --seed {self._seed}")
        for line in table(self._ordered()):
            terminalreporter.write_line(line)

    def _ordered(self) -> list[dict[str, Any]]:
        return [self._rows[key] for key in sorted(self._rows)]


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
