"""Fixtures of the tests in a browser: one gallery and one Chromium a module, and visitors to it."""

import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.support.gallery_process import chromium, gallery


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


class Visitors:
    """Each page that is opened belongs to a new visitor, unless a context is given."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.address = address
        self.requested: set[str] = set()
        """Every address that any page asked for."""
        self.complaints: list[str] = []
        """Errors in the browser's console, such as what the security policy forbade."""
        self._browser = browser
        self._contexts: list[BrowserContext] = []

    def context(self, **options: Any) -> BrowserContext:
        context = self._browser.new_context(**{"locale": "en-GB", "reduced_motion": "reduce", **options})
        context.set_default_timeout(10_000)
        context.on("request", lambda request: self.requested.add(request.url))
        context.on(
            "console", lambda line: self.complaints.append(line.text) if line.type == "error" else None
        )
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self._contexts.append(context)
        return context

    def open(self, path: str = "/", context: BrowserContext | None = None, **options: Any) -> Page:
        page = (context or self.context(**options)).new_page()
        page.goto(self.address + path)
        return page

    def post(self, path: str, **fields: str) -> None:
        """As a new visitor's browser would send a form."""
        answer = self.context().request.post(
            self.address + path, form=dict(fields), headers={"Origin": self.address}
        )
        assert answer.ok, answer.text()

    def leave(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def visitors(browser: Browser, address: str) -> Iterator[Visitors]:
    """Checks after each test that nothing left this machine and that no browser complained."""
    visitors = Visitors(browser, address)
    yield visitors
    visitors.leave()
    elsewhere = {url for url in visitors.requested if not url.startswith(f"{address}/")}
    assert not elsewhere, "requests to other places"
    assert visitors.complaints == []
