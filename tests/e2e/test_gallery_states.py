"""What the gallery says while a picture's state changes, and what one click does, in a real browser.

Each test uses its own pictures, because all tests of the module share one gallery and its state.
"""

from playwright.sync_api import FloatRect, Locator, Page, expect

from tests.support.gallery_process import report
from tests.support.visitors import Visitors


def card(page: Page, picture: str) -> Locator:
    return page.locator(f"#card-{picture}")


def posts(page: Page) -> list[str]:
    """The paths of all forms that the page sends from now on."""
    sent: list[str] = []
    page.on("request", lambda one: sent.append(one.url) if one.method == "POST" else None)
    return sent


def box(locator: Locator) -> FloatRect:
    found = locator.bounding_box()
    assert found is not None
    return found


def test_a_picture_that_goes_while_its_dialog_is_open(visitors: Visitors) -> None:
    page = visitors.open()
    page.get_by_role("button", name="Report “First snow”").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("img", name="White hills")).to_be_visible()
    expect(dialog).to_contain_text("It is blocked automatically once several people have reported it.")
    dialog.get_by_label("Hate").check()
    for _ in range(5):
        visitors.post("/report/first-snow", reason="hate")
    expect(dialog).to_contain_text("There is nothing left to report")
    expect(dialog.get_by_role("button", name="Send the report")).to_be_hidden()
    expect(dialog.get_by_role("img")).to_have_count(0)
    expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Enter")
    expect(card(page, "first-snow")).to_be_focused()
    # Its label is in one line with those of its neighbours, and its place is as high as theirs.
    for part in (".picture", "h2"):
        blocked, shown = (box(card(page, name).locator(part)) for name in ("first-snow", "red-desert"))
        assert (blocked["y"], blocked["height"]) == (shown["y"], shown["height"]), part
    # Cleared while the dialog of another visitor is open, it is protected, and the dialog says so.
    visitors.post("/moderation/verdicts/first-snow", verdict="cleared")
    page.get_by_role("button", name="Report “First snow”").click()
    expect(dialog).to_contain_text("A moderator has looked at this image and keeps it")
    dialog.get_by_label("Hate").check()
    dialog.get_by_role("button", name="Send the report").click()
    expect(page.locator("#status")).to_contain_text("reports don\u2019t block it")
    expect(page.locator("#status")).not_to_contain_text("blocked automatically")


def test_a_double_click_reports_once_and_who_reported_can_take_it_back(visitors: Visitors) -> None:
    page = visitors.open()
    other_tab, stranger = visitors.open(context=page.context), visitors.open()
    page.bring_to_front()  # a tab in the background is drawn once a second
    sent, where = posts(page), box(card(page, "red-desert"))
    page.get_by_role("button", name="Report “Still lake”").click()
    page.get_by_role("dialog").get_by_label("Nudity").check()
    page.get_by_role("button", name="Send the report").dblclick()
    expect(page.locator("#notice")).to_contain_text("“Still lake”")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert len(sent) == 1
    # The thanks lie over the page, and can be closed.
    assert box(card(page, "red-desert")) == where
    page.get_by_role("link", name="Close").last.click()
    expect(page.locator("#notice")).to_have_text("")
    for tab in (page, other_tab):
        expect(card(tab, "still-lake")).to_contain_text("You reported it")
    expect(card(stranger, "still-lake")).not_to_contain_text("You reported it")
    # A second click that comes after the answer hits what has taken the button's place, and is none.
    place = box(page.get_by_role("button", name="Take back your report of “Still lake”"))
    spot = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    page.mouse.click(*spot)
    expect(page.get_by_role("button", name="Report “Still lake”")).to_be_visible()
    page.mouse.down(click_count=2)
    page.mouse.up(click_count=2)
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.mouse.click(*spot)
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#status")).to_have_text(
        "Your report has been taken back. It doesn\u2019t count any more."
    )
    assert len(sent) == 2
    for tab in (page, other_tab):
        expect(tab.get_by_role("button", name="Report “Still lake”")).to_be_visible()
    # It counts no more: four others don't block the picture, and a fifth does.
    for _ in range(4):
        visitors.post("/report/still-lake", reason="spam")
    expect(visitors.open("/moderation").locator("#queue [data-picture=still-lake]")).to_contain_text("3 of 5")
    expect(card(page, "still-lake")).to_have_attribute("data-state", "open")
    report(page, "Still lake")
    expect(card(page, "still-lake")).to_have_attribute("data-state", "blocked")


def test_a_verdict_can_be_changed_and_a_double_click_judges_once(visitors: Visitors) -> None:
    desk = visitors.open("/moderation", timezone_id="Asia/Tokyo", locale="fr-FR")
    sent = posts(desk)
    # Any picture can be judged, reported or not. Another takes its place in the list under the pointer.
    desk.get_by_role("button", name="Garder « Lune des moissons »").dblclick()
    expect(desk.locator("#kept [data-picture=harvest-moon]")).to_be_visible()
    desk.locator("#kept").get_by_role("button", name="Bloquer « Lune des moissons »").click()
    blocked = desk.locator("#blocks [data-picture=harvest-moon]")
    expect(blocked).to_be_visible()
    assert [path.rpartition("/")[2] for path in sent] == ["harvest-moon"] * 2
    # Times are those of the visitor's zone; without scripts the page can't know it, and says UTC.
    shown, utc = (
        blocked.locator("time").first.evaluate(f"one => one.{name}") for name in ("textContent", "title")
    )
    assert utc.endswith(" UTC")
    hour = (int(utc[11:13]) + 9) % 24
    assert f" {hour:02}:{utc[14:19]}" in shown
    plain = visitors.open("/moderation", context=visitors.context(java_script_enabled=False))
    expect(plain.locator("#blocks [data-picture=harvest-moon] time").first).to_have_text(utc)
    desk.get_by_role("button", name="Garder : réafficher « Lune des moissons »").click()
    expect(desk.locator("#kept [data-picture=harvest-moon]")).to_contain_text("Elle a été bloquée avant")


def test_a_change_of_the_language_keeps_what_the_form_says(visitors: Visitors) -> None:
    for scripts in (True, False):
        page = visitors.open("/brigade", context=visitors.context(java_script_enabled=scripts))
        page.get_by_role("radio", name="Pine valley").check()
        page.get_by_label("Fake accounts").fill("7")
        page.get_by_label("A slow drip").check()
        page.get_by_role("button", name="Français").click()
        expect(page.get_by_role("radio", name="Vallée aux pins")).to_be_checked()
        expect(page.get_by_label("Faux comptes")).to_have_value("7")
        expect(page.get_by_label("Au compte-gouttes")).to_be_checked()
        expect(page.locator("#log li")).to_have_text("Rien pour l\u2019instant.")
        page.goto(f"{visitors.address}/report/pine-valley")
        page.get_by_label("Haine").check()
        page.get_by_role("button", name="English").click()
        expect(page.get_by_label("Hate")).to_be_checked()
    # The Enter key in a field still does what the form is for.
    page = visitors.open("/brigade")
    page.get_by_label("Fake accounts").fill("1")
    page.get_by_label("Fake accounts").press("Enter")
    expect(page.locator("#log .attack")).to_have_count(1)
