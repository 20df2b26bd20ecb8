"""Takes the picture in the README: `python -m tests.support.screenshot` writes `docs/gallery.png`.

`--more FOLDER` also takes the other pages, small, dark and French, to check a change of style.
"""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from playwright.sync_api import Browser, Page, expect

from tests.support.gallery_process import chromium, gallery, report
from tests.support.service_process import ROOT

BLOCKED, THANKED = "Lavender hour", "Red desert"
SIZE: Any = {"width": 1280, "height": 800}
SMALL: Any = {"width": 375, "height": 800}


def visit(browser: Browser, address: str, **options: Any) -> Page:
    options = {"viewport": SIZE, "locale": "en-GB", "reduced_motion": "reduce", **options}
    page = browser.new_context(**options).new_page()
    page.goto(address)
    return page


def main(
    out: Annotated[Path, typer.Option(help="Where the README's picture goes.")] = ROOT
    / "docs"
    / "gallery.png",
    more: Annotated[Path | None, typer.Option(help="A folder for further pictures.")] = None,
) -> None:
    """Let five visitors block a picture, and a sixth report another picture; take the screenshots."""
    with tempfile.TemporaryDirectory() as folder, gallery(Path(folder)) as address, chromium() as browser:
        page = visit(browser, address)
        for _ in range(5):
            other = visit(browser, address)
            report(other, BLOCKED)
            other.context.close()
        expect(page.locator("#card-lavender-hour")).to_contain_text("Blocked")
        report(page, THANKED)
        expect(page.locator("#status")).to_contain_text("Thanks")
        page.mouse.move(0, 0)
        page.screenshot(path=out)
        if more:
            more.mkdir(parents=True, exist_ok=True)
            take_more(browser, address, more)


def take_more(browser: Browser, address: str, folder: Path) -> None:
    page = visit(browser, f"{address}/brigade")
    for accounts, origin in ((12, "All from one device"), (2, "Each from a device of its own")):
        page.get_by_label("Fake accounts").fill(str(accounts))
        page.get_by_label(origin).check()
        page.get_by_role("button", name="Attack", exact=True).click()
        expect(page.locator("#log .silent")).to_have_count(1 if accounts == 12 else 2)
    page.get_by_label("Red desert").check()
    page.get_by_label("Fake accounts").fill("30")
    page.get_by_role("button", name="Attack", exact=True).click()
    expect(page.locator("#log .blocked")).to_have_count(1)
    page.screenshot(path=folder / "brigade.png", full_page=True)
    for name, path in (("gallery", "/"), ("moderation", "/moderation"), ("brigade", "/brigade")):
        for looks, options in (
            ("dark", {"color_scheme": "dark"}),
            ("small", {"viewport": SMALL, "locale": "fr-FR"}),
        ):
            visit(browser, address + path, **options).screenshot(
                path=folder / f"{name}-{looks}.png", full_page=looks == "small"
            )
    visit(browser, f"{address}/moderation").screenshot(path=folder / "moderation.png")
    page = visit(browser, address)
    page.get_by_role("button", name="Report “Still lake”").click()
    page.screenshot(path=folder / "dialog.png")


if __name__ == "__main__":
    typer.run(main)
