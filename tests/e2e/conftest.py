"""Fixtures of the browser tests: one gallery and one Chromium per module, and visitors."""

import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser

from tests.support.gallery_process import chromium, gallery
from tests.support.visitors import Visitors


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Not for the session: while the browser runs, no test can have its own event loop.
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def address(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The gallery's address. It depends on the browser, because without one the gallery need not start."""
    # An open event stream must not prevent a clean stop.
    with ExitStack() as watching, gallery(tmp_path_factory.mktemp("gallery")) as started:
        events = watching.enter_context(urllib.request.urlopen(f"{started}/events", timeout=20))
        assert events.readline().startswith(b"event: card")
        yield started


@pytest.fixture
def visitors(browser: Browser, address: str) -> Iterator[Visitors]:
    """Visitors; after each test, no page may have requested another site or logged an error."""
    visitors = Visitors(browser, address)
    yield visitors
    visitors.leave()
    elsewhere = {url for url in visitors.requested if not url.startswith(f"{address}/")}
    assert not elsewhere, "requests to other places"
    assert visitors.complaints == []
