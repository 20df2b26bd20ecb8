"""Fixtures of the tests in a browser: one gallery and one Chromium a module, and visitors to it."""

import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser

from tests.support.gallery_process import chromium, gallery
from tests.support.visitors import Visitors


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Not for the session: while it runs, no test can have an event loop of its own.
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def address(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the gallery is; the browser is asked for first, since without one nothing needs starting."""
    # Somebody watches to the very end, which must not keep it from ending well.
    with ExitStack() as watching, gallery(tmp_path_factory.mktemp("gallery")) as started:
        events = watching.enter_context(urllib.request.urlopen(f"{started}/events", timeout=20))
        assert events.readline().startswith(b"event: card")
        yield started


@pytest.fixture
def visitors(browser: Browser, address: str) -> Iterator[Visitors]:
    """Checks after each test that nothing left this machine and that no browser complained."""
    visitors = Visitors(browser, address)
    yield visitors
    visitors.leave()
    elsewhere = {url for url in visitors.requested if not url.startswith(f"{address}/")}
    assert not elsewhere, "requests to other places"
    assert visitors.complaints == []
