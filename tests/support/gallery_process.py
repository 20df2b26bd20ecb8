"""The gallery, started as by `make gallery`, and a browser."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.servers import missing
from tests.support.service_process import ROOT
from tests.support.waiting import wait_until


@contextmanager
def gallery(folder: Path, *arguments: str) -> Iterator[str]:
    """Start the gallery and give its address. At the end, stop it and check that it ended cleanly.

    `folder` must be new; it takes all files.
    """
    out_path, temporary = folder / "gallery.out", folder / "tmp"
    temporary.mkdir()
    with out_path.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "examples.gallery", "--port", "0", *arguments],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(temporary)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )

    def address() -> str:
        text = out_path.read_text()
        assert process.poll() is None, text
        found = re.search(r"(http://127\.0\.0\.1:\d+)\n", text)
        return found[1] if found else ""

    try:
        yield wait_until(address, "the gallery's address", 30)
    finally:
        process.terminate()
        try:
            code = process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    text = out_path.read_text()
    assert (code, "ERROR" in text, "Traceback" in text) == (0, False, False), text
    assert list(temporary.iterdir()) == []


@contextmanager
def chromium() -> Iterator[Browser]:
    """Give Debian's Chromium, so that Playwright needs no download."""
    path = shutil.which("chromium") or missing("chromium")
    with sync_playwright() as playwright:
        # No sandbox: it doesn't work as root, and the browser visits only our own site.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


def report(page: Page, title: str, reason: str = "Spam or advertising") -> None:
    """Report a picture by mouse on the open English gallery page."""
    page.get_by_role("button", name=f"Report “{title}”").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label(reason).check()
    dialog.get_by_role("button", name="Send the report").click()
    dialog.wait_for(state="hidden")
