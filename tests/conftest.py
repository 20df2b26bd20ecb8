"""Fixtures that every test may ask for: real servers, clean, and checked for what a test leaves behind."""

import logging
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
import structlog
from xdist.remote import Producer

from image_moderation.embedded import EmbeddedRedis, Engine
from tests.support.brokers import BROKERS, start
from tests.support.brokers.harness import Harness
from tests.support.scheduling import SimulationsApart
from tests.support.servers import ENGINES, RedisServers, clean, keys_without_ttl, missing_report


@pytest.fixture(autouse=True)
def logs_of_the_process() -> Iterator[None]:
    """Undo what a `serve` in this process sets for all of it: its lines would go to this test's streams."""
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook, sys.unraisablehook)
    config, handlers, level = structlog.get_config(), list(root.handlers), root.level
    yield
    structlog.configure(**config)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks


@pytest.fixture(scope="session")
def redis_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServers]:
    servers = RedisServers(tmp_path_factory.mktemp("redis"))
    yield servers
    servers.close()


@pytest.fixture(scope="session")
def redis_engines(redis_servers: RedisServers) -> dict[str, Engine]:
    """The engines of this machine by name: `valkey`, `redis`, both or neither."""
    return redis_servers.engines


@pytest.fixture
def no_key_without_ttl() -> Iterator[Callable[[str], None]]:
    """Give it a server's URL: after the test, each key there must have a TTL or a reason not to."""
    urls: list[str] = []
    yield urls.append
    forever = {url: keys for url in urls if (keys := keys_without_ttl(url))}
    assert not forever, f"keys without a TTL, and without a reason in KEYS_WITHOUT_TTL: {forever}"


def _in_use(server: EmbeddedRedis, check_later: Callable[[str], None]) -> Iterator[EmbeddedRedis]:
    clean(server.url)
    check_later(server.url)
    yield server
    if not server.running:  # a test may have ended it; what it left behind is looked at all the same
        server.restart()


@pytest.fixture
def redis_server(
    redis_servers: RedisServers, no_key_without_ttl: Callable[[str], None]
) -> Iterator[EmbeddedRedis]:
    """The session's Valkey server, emptied; it also has a `tcp_url`.

    What changes a server's configuration takes one of its own, from `redis_servers.new`.
    """
    yield from _in_use(redis_servers.get("valkey"), no_key_without_ttl)


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """An empty Valkey server."""
    return redis_server.url


@pytest.fixture(params=ENGINES)
def any_redis_server(
    request: pytest.FixtureRequest, redis_servers: RedisServers, no_key_without_ttl: Callable[[str], None]
) -> Iterator[EmbeddedRedis]:
    """As `redis_server`, with each engine in turn."""
    yield from _in_use(redis_servers.get(request.param), no_key_without_ttl)


@pytest.fixture
def any_redis_url(any_redis_server: EmbeddedRedis) -> str:
    """An empty server of each engine in turn."""
    return any_redis_server.url


@pytest.fixture(scope="session")
def harnesses(
    redis_servers: RedisServers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Harness]]:
    """One running broker a name, started when first asked for."""
    running: dict[str, Harness] = {}

    def harness(name: str) -> Harness:
        if name not in running:
            running[name] = start(name, tmp_path_factory.mktemp(name), redis_servers.get("valkey"))
        return running[name]

    yield harness
    for one in running.values():
        one.close()


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest, harnesses: Callable[[str], Harness]) -> Harness:
    """Each broker in turn, with nothing on it."""
    harness = harnesses(request.param)
    harness.fresh()
    return harness


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SimulationsApart:
    """In the place of `--dist=loadfile`."""
    return SimulationsApart(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # Read from the reports, which also reach the controller of a run spread over several processes.
    reports = terminalreporter.stats.get("skipped", [])
    skips = [(report.nodeid, report.longrepr[2]) for report in reports if isinstance(report.longrepr, tuple)]
    if lines := missing_report(skips):
        terminalreporter.section("skipped for want of a server", yellow=True)
        for line in lines:
            terminalreporter.write_line(line)
