"""The gallery in a real browser, with the real service behind it.

Each test uses its own pictures, because all tests of the module share one gallery and its state.
"""

import re
from urllib.parse import urljoin

from playwright.sync_api import Locator, Page, expect

from tests.support.gallery_process import report
from tests.support.visitors import Visitors

THANKS = (
    "Thanks for reporting! This image will be blocked automatically once several people have reported it."
)
MERCI = (
    "Merci d'avoir signalé ! Cette image sera automatiquement bloquée après qu'elle soit signalée "
    "par plusieurs personnes."
)
PAGES = (
    "/",
    "/?reported=still-lake",
    "/moderation",
    "/brigade",
    "/report/still-lake",
    "/report/no-such-picture",
)


def card(page: Page, picture: str) -> Locator:
    return page.locator(f"#card-{picture}")


def status_of(page: Page, path: str) -> int:
    return page.request.get(urljoin(page.url, path)).status


def attack(
    page: Page, victim: str, accounts: int, *, shared: bool = False, slow: bool = False, end: str = ".silent"
) -> Locator:
    """Start an attack, wait for its end, and return the newest entry of the log."""
    ended = page.locator(f"#log {end}")
    before = ended.count()
    page.get_by_role("radio", name=victim).check()
    page.get_by_label("Fake accounts").fill(str(accounts))
    page.get_by_label("All from one device" if shared else "Each from a device of its own").check()
    page.get_by_label("A slow drip" if slow else "All at once").check()
    page.get_by_role("button", name="Attack", exact=True).click()
    expect(ended).to_have_count(before + 1)
    return page.locator("#log li").first


def test_five_visitors_block_a_picture_before_the_eyes_of_a_sixth(visitors: Visitors) -> None:
    watching = visitors.open()
    expect(card(watching, "morning-ridges").get_by_role("img")).to_be_visible()
    assert status_of(watching, "/images/morning-ridges.svg") == 200
    for _ in range(3):
        visitors.post("/report/morning-ridges", reason="nudity")
    fourth, fifth = visitors.open(), visitors.open()
    report(fourth, "Morning ridges")
    expect(fourth.locator("#status")).to_have_text(THANKS)
    expect(fourth.locator("#notice")).to_contain_text("“Morning ridges”")
    # The form is closed again, and the keyboard focus is where it was.
    expect(card(fourth, "morning-ridges")).to_be_focused()
    expect(card(fourth, "morning-ridges")).to_have_attribute("data-state", "open")
    report(fifth, "Morning ridges")
    expect(fifth.locator("#status")).to_have_text(THANKS)
    expect(card(watching, "morning-ridges")).to_contain_text("Blocked")
    expect(card(watching, "morning-ridges").get_by_role("img")).to_have_count(0)
    expect(watching.locator("#news")).to_have_text("“Morning ridges” has been blocked.")
    expect(fifth.locator("#notice")).to_contain_text("“Morning ridges” has been blocked.")
    assert status_of(watching, "/images/morning-ridges.svg") == 410
    # Readers see no counts, not even of a blocked picture.
    assert not re.search(r"\d", watching.locator("body").inner_text())


def test_who_reports_twice_is_told_so_and_counted_once(visitors: Visitors) -> None:
    first = visitors.open()
    other_tab = visitors.open("/report/red-desert", context=first.context)
    first.bring_to_front()  # a tab in the background is drawn once a second
    report(first, "Red desert", "Spam or advertising")
    expect(first.locator("#status")).to_have_text(THANKS)
    first.reload()
    expect(first.locator("#status")).to_have_text("")
    expect(card(first, "red-desert")).to_contain_text("You reported it")
    other_tab.bring_to_front()
    other_tab.get_by_label("Hate").check()
    other_tab.get_by_role("button", name="Send the report").click()
    expect(other_tab.locator("#status")).to_contain_text("You had reported this image before")
    for _ in range(4):
        visitors.post("/report/red-desert", reason="spam")
    expect(card(first, "red-desert")).to_contain_text("Blocked")
    blocked = visitors.open("/moderation").locator("#blocks [data-picture=red-desert]")
    expect(blocked).to_contain_text("5 of 5 that block")
    # A person's newest report counts.
    expect(blocked).to_contain_text("Hate \u00d7 1, Spam or advertising \u00d7 4")


def test_in_french(visitors: Visitors) -> None:
    page = visitors.open(locale="fr-FR")
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    page.get_by_role("button", name="Signaler « Lac tranquille »").click()
    page.get_by_role("dialog").get_by_label("Nudité").check()
    page.get_by_role("button", name="Envoyer le signalement").click()
    expect(page.locator("#status")).to_have_text(MERCI)
    assert page.locator("#status").text_content() == MERCI  # with its spaces, which `expect` normalises
    expect(page.locator("#notice")).to_contain_text("« Lac tranquille »")
    page.get_by_role("link", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.goto(f"{visitors.address}/brigade")
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_by_keyboard_alone(visitors: Visitors) -> None:
    page = visitors.open()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    button = page.get_by_role("button", name="Report “Morning ridges”").or_(
        page.get_by_role("button", name="Report “Still lake”")
    )
    page.keyboard.press("Tab")
    expect(button.first).to_be_focused()
    page.keyboard.press("Space")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(button.first).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog.get_by_label("Nudity")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(dialog.get_by_label("Violence")).to_be_checked()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_have_text(THANKS)
    reported = page.locator(".card:focus")
    expect(reported).to_contain_text("You reported it")
    # From there the next key goes to what can be done now.
    page.keyboard.press("Escape")
    expect(page.locator("#status")).to_have_text("")
    page.keyboard.press("Tab")
    expect(reported.or_(page.locator(".card:focus-within")).get_by_role("button")).to_be_focused()


def test_a_moderator_clears_what_a_brigade_blocked_and_it_stays_cleared(visitors: Visitors) -> None:
    reader, desk, brigade = visitors.open(), visitors.open("/moderation"), visitors.open("/brigade")
    # All accounts of one device count as one reporter.
    silent = attack(brigade, "Lavender hour", 50, shared=True)
    expect(silent).to_contain_text("One device is one reporter")
    expect(card(reader, "lavender-hour")).to_have_attribute("data-state", "open")
    # The same number of accounts from different devices counts as fifty people.
    blocked = attack(brigade, "Lavender hour", 50, end=".blocked")
    expect(blocked).to_contain_text("counted 5 different reporters, and 5 block")
    expect(card(reader, "lavender-hour")).to_contain_text("Blocked")
    expect(brigade.locator("[data-picture=lavender-hour]")).to_have_text("Blocked")
    # A moderator's verdict wins.
    desk.get_by_role("button", name="Keep: show it again, “Lavender hour”").click()
    expect(desk.locator("#status")).to_contain_text("“Lavender hour” is being shown again.")
    expect(desk.locator("#kept [data-picture=lavender-hour]")).to_contain_text("Protected until")
    expect(desk.get_by_role("heading", name="Blocked pictures")).to_be_focused()
    expect(card(reader, "lavender-hour").get_by_role("img")).to_be_visible()
    expect(reader.locator("#news")).to_have_text("“Lavender hour” is shown again.")
    assert status_of(reader, "/images/lavender-hour.svg") == 200
    expect(attack(brigade, "Lavender hour", 50)).to_contain_text(
        re.compile("A moderator kept it at .* 30 days")
    )
    expect(card(reader, "lavender-hour")).to_have_attribute("data-state", "open")


def test_a_slow_drip_blocks_nothing_but_a_moderator_asked_because_of_it_may(visitors: Visitors) -> None:
    reader, desk, brigade = visitors.open(), visitors.open("/moderation"), visitors.open("/brigade")
    silent = attack(brigade, "Pine valley", 20, slow=True)
    expect(silent).to_contain_text("At no time did enough people report it within 30 days")
    expect(brigade.locator("#log .attack").first).to_contain_text("One was made every 10 days")
    # The first request came at the third reporter; the newest once these had slid out of the window.
    requests = brigade.locator("#log .review")
    expect(requests.last).to_contain_text("counted 3 different reporters; 5 would block")
    expect(requests.first).to_contain_text("counted 4 different reporters; 5 would block")
    case = desk.locator("#queue [data-picture=pine-valley]")
    expect(case).to_contain_text("4 of 5 that block")
    expect(card(reader, "pine-valley")).to_have_attribute("data-state", "open")
    case.get_by_role("button", name="Block “Pine valley”").click()
    expect(case).to_have_count(0)
    expect(card(reader, "pine-valley")).to_contain_text("Blocked")
    expect(desk.locator("#blocks [data-picture=pine-valley]")).to_contain_text("a moderator decided")
    expect(desk.get_by_role("heading", name="To be reviewed")).to_be_focused()


def test_the_brigade_page_plays_the_moderator_too(visitors: Visitors) -> None:
    brigade = visitors.open("/brigade")
    again = brigade.get_by_role("button", name="The same attack again")
    expect(again).to_have_count(0)
    visitors.post("/report/summer-rain", reason="spam")
    blocked = attack(brigade, "Summer rain", 4, end=".blocked")
    expect(blocked).to_contain_text("Earlier reports counted, too: at least 1")
    expect(brigade.locator("#log .attack")).to_contain_text("Reports of “Summer rain” sent: 4")
    brigade.get_by_role("button", name="As a moderator: keep the chosen picture").click()
    expect(brigade.locator("#log li").first).to_contain_text("“Summer rain” is shown again")
    # The same attack, whatever the form says now.
    brigade.get_by_role("radio", name="Winter night").check()
    again.click()
    expect(brigade.locator("#log li").first).to_contain_text("A moderator kept it")
    # The log belongs to the visitor: it is kept for them, and nobody else sees it.
    brigade.reload()
    expect(brigade.locator("#log li").first).to_contain_text("A moderator kept it")
    expect(again).to_have_count(1)
    expect(visitors.open("/brigade").locator("#log li")).to_have_text("Nothing yet.")


def test_all_of_it_without_scripts(visitors: Visitors) -> None:
    context = visitors.context(java_script_enabled=False)
    page = visitors.open(context=context)
    page.get_by_role("link", name="Report “Harvest moon”").click()
    page.get_by_label("Something else").check()
    expect(page.get_by_role("img")).to_be_visible()
    page.get_by_role("button", name="Send the report").click()
    expect(page.locator("#status")).to_have_text(THANKS)
    page.get_by_role("link", name="Close").last.click()
    expect(page.locator("#status")).to_have_text("")
    page.get_by_role("button", name="Take back your report of “Harvest moon”").click()
    expect(page.locator("#status")).to_contain_text("Your report has been taken back.")
    page.goto(f"{visitors.address}/brigade")
    page.get_by_label("Harvest moon").check()
    page.get_by_role("button", name="Attack", exact=True).click()
    expect(page.locator("#log li").first).to_contain_text("“Harvest moon” is blocked")
    expect(page.get_by_label("Harvest moon")).to_be_checked()
    page.goto(f"{visitors.address}/moderation")
    page.get_by_role("button", name="Keep: show it again, “Harvest moon”").click()
    expect(page.locator("#status")).to_contain_text("“Harvest moon” is being shown again")


def test_every_page_is_narrow_and_labelled(visitors: Visitors) -> None:
    page = visitors.open(viewport={"width": 320, "height": 640}, locale="fr")
    for path in PAGES:
        page.goto(visitors.address + path)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 320, f"{path} is {width} px wide"
        assert page.evaluate("[...document.images].filter((one) => !one.hasAttribute('alt')).length") == 0, (
            path
        )
        unlabelled = "[...document.querySelectorAll('input')].filter((one) => !one.labels.length).length"
        assert page.evaluate(unlabelled) == 0, path
        assert page.locator("h1").count() == 1, path
        assert page.locator("main").count() == 1, path
    visitors.complaints.clear()  # the expected 404
