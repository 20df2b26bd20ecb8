"""Visitors of the gallery in a browser; records the requests and console errors of their pages."""

from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page


class Visitors:
    """Every opened page belongs to a new visitor, unless a context is given."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.address = address
        self.requested: set[str] = set()
        """The URL of every request of any page."""
        self.complaints: list[str] = []
        """Errors in the browser's console, such as violations of the security policy."""
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
        """Send a form like the browser of a new visitor."""
        answer = self.context().request.post(
            self.address + path, form=dict(fields), headers={"Origin": self.address}
        )
        assert answer.ok, answer.text()

    def leave(self) -> None:
        for context in self._contexts:
            context.close()
