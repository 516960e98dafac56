"""Everybody can use it: screen readers, keyboards, small screens, light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.app.browser.conftest import Open
from tests.app.browser.person import make_pad, sign_in, sign_up, write_note

ANYBODY = ("/signin/", "/signup/", "/forgot-password/", "/nothing-here/")
GRAVE = {"serious", "critical"}
IS_DARK = "() => matchMedia('(prefers-color-scheme: dark)').matches"
BACKGROUND = "() => getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).slice(0, 3).map(Number)"


def furnish(page: Page, email: str) -> list[str]:
    """Sign in, make a pad and two notes, and return the pages that there are now."""
    sign_up(page, email)
    sign_in(page, email)
    make_pad(page, "Kitchen")
    write_note(page, "A" * 90, "one" * 300, pad="Kitchen")
    pad = page.url.removesuffix("?").split("//", 1)[1].split("/", 1)[1]
    page.goto("/")
    write_note(page, "שלום and العربية 🍓", "right to left")
    page.goto("/")
    note = str(page.locator("table.notes td:first-child a").first.get_attribute("href"))
    own = ["/", f"/{pad}", f"/{pad}edit/", f"/{pad}delete/", note, f"{note}edit/", f"{note}delete/"]
    return [*own, "/notes/create/", "/pads/create/", "/settings/", "/?page=99", *ANYBODY[1:]]


def graves(page: Page) -> list[str]:
    """Name the serious findings on the page."""
    found = Axe().run(page).response["violations"]
    return [
        f"{page.url}: {item['id']}: {item['nodes'][0]['html']}" for item in found if item["impact"] in GRAVE
    ]


def visit(page: Page, path: str) -> None:
    """Open a page; that a page is missing is no complaint of the browser's here."""
    page.goto(path)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 320)])
def test_no_serious_finding_on_any_page(
    open_page: Open, email: str, pictures: Path, scheme: str, width: int
) -> None:
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True)
    found = []
    for path in ("/signin/", *furnish(page, email)):
        visit(page, path)
        found += graves(page)
        wide = page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
        if wide > 0:
            found.append(f"{path} is {wide} pixels wider than the screen")
    page.goto("/")
    page.screenshot(path=pictures / f"notes-{scheme}-{width}.png")
    assert found == []


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
def test_the_page_follows_the_system_s_colours(open_page: Open, scheme: str, *, is_dark: bool) -> None:
    page = open_page(color_scheme=scheme)
    page.goto("/signin/")
    assert page.evaluate(IS_DARK) is is_dark
    brightness = sum(page.evaluate(BACKGROUND)) / 3
    assert brightness < 80 if is_dark else brightness > 200


def test_a_keyboard_is_enough(page: Page, email: str) -> None:
    sign_up(page, email)
    page.goto("/signin/")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.name") == "email":
            break
    page.keyboard.type(email)
    page.keyboard.press("Tab")
    page.keyboard.type("correct-horse-battery-9")
    page.keyboard.press("Enter")
    expect(page.locator(".alert-success")).to_have_text("You are signed in!")
    for _ in range(40):
        page.keyboard.press("Tab")
        outline = page.evaluate(
            "() => { const s = getComputedStyle(document.activeElement);"
            " return s.outlineStyle !== 'none' || s.boxShadow !== 'none' }"
        )
        assert outline, "what has the focus shows it"
        if page.evaluate("() => document.activeElement.textContent.trim()") == "New note":
            break
    page.keyboard.press("Enter")
    expect(page).to_have_title("New note")
