"""From sign-up to the deletion of everything, as a person sees it; with JavaScript and without."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.app.browser.conftest import Open, Site
from tests.app.browser.person import (
    PASSWORD,
    make_pad,
    names_of,
    see,
    see_title,
    sign_in,
    sign_up,
    write_note,
)

NEW_PASSWORD = "another-horse-battery-8"
TEXT = "Milk, <b>bread</b> & jam\nand the second line 🍓"


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without JavaScript"])
def tab(request: pytest.FixtureRequest, open_page: Open) -> Page:
    return open_page(java_script_enabled=request.param)


def test_from_sign_up_to_deletion(tab: Page, email: str, pictures: Path) -> None:
    tab.goto("/")
    see(tab, "Please log in to access this page.")
    tab.screenshot(path=pictures / "sign-in.png")
    sign_up(tab, email)
    sign_in(tab, email)
    see_title(tab, "All notes (0)")
    expect(tab.locator(".sign-in-out-block")).to_contain_text(f"{email}:")
    expect(tab.get_by_text("Create your first note.")).to_be_visible()
    expect(tab.locator("nav p.empty")).to_have_text("No pads")
    tab.screenshot(path=pictures / "empty.png")

    make_pad(tab, "Kitchen")
    write_note(tab, "Shopping", TEXT, pad="Kitchen")
    see_title(tab, "Kitchen (1)")
    tab.goto("/")
    write_note(tab, "apples", "No pad for these")
    see_title(tab, "All notes (2)")
    expect(tab.locator("td.pad")).to_have_text(["No pad", "Kitchen"])
    tab.screenshot(path=pictures / "notes.png", clip={"x": 0, "y": 0, "width": 1200, "height": 440})

    tab.get_by_role("link", name="Shopping").click()
    see_title(tab, "Shopping")
    expect(tab.locator("div.note")).to_contain_text("<b>bread</b> & jam")
    expect(tab.get_by_text("Last edited at Today at")).to_be_visible()
    tab.screenshot(path=pictures / "note.png")
    tab.get_by_role("link", name="Edit", exact=True).click()
    expect(tab.get_by_label("Note", exact=True)).to_have_value(TEXT)
    tab.get_by_label("Name").fill("Shopping list")
    tab.screenshot(path=pictures / "edit.png")
    tab.get_by_role("button", name="Save").click()
    see(tab, "Note is successfully updated")

    tab.get_by_role("link", name="Shopping list").click()
    tab.get_by_role("link", name="Delete it").click()
    expect(tab.get_by_text("Are you sure you want to delete Shopping list?")).to_be_visible()
    tab.screenshot(path=pictures / "delete.png")
    tab.get_by_role("button", name="Yes, delete I want to delete it").click()
    see(tab, "Note is successfully deleted")
    see_title(tab, "Kitchen (0)")
    expect(tab.get_by_text("Create first note in the pad.")).to_be_visible()

    tab.get_by_role("link", name="Pad settings").click()
    tab.get_by_role("link", name="Delete pad").click()
    tab.get_by_role("button", name="Yes, delete I want to delete it").click()
    see(tab, "Pad is successfully deleted")
    see_title(tab, "All notes (1)")


def test_the_arrows_sort(tab: Page, email: str) -> None:
    sign_up(tab, email)
    sign_in(tab, email)
    for name in ("banana", "Apple", "cherry"):
        write_note(tab, name, "text")
    assert names_of(tab) == ["cherry", "Apple", "banana"], "the newest first"

    arrows = tab.locator("th.note a.sort_arrow")
    expect(arrows).to_have_text(["↓", "↑"])
    arrows.first.click()
    expect(tab).to_have_url(tab.url.split("?")[0] + "?order=name")
    assert names_of(tab) == ["Apple", "banana", "cherry"]
    tab.locator("th.note a.sort_arrow").last.click()
    assert names_of(tab) == ["cherry", "banana", "Apple"]


def test_a_password_is_changed_and_other_browsers_are_signed_out(open_page: Open, email: str) -> None:
    here, there = open_page(), open_page()
    sign_up(here, email)
    sign_in(here, email)
    sign_in(there, email)
    here.get_by_role("link", name="Account settings").click()
    see_title(here, "Account Settings")
    here.get_by_label("Old Password").fill(PASSWORD)
    here.get_by_label("New Password", exact=True).fill(NEW_PASSWORD)
    here.get_by_label("Repeat New Password").fill(NEW_PASSWORD)
    here.get_by_role("button", name="Save").click()
    see(here, "Your password is successfully changed.")

    here.goto("/")
    see_title(here, "All notes (0)")
    there.goto("/")
    see_title(there, "Sign In")
    sign_in(there, email, NEW_PASSWORD)
    there.get_by_role("link", name="Sign out").click()
    see_title(there, "Sign In")


def test_a_forgotten_password(page: Page, site: Site, email: str) -> None:
    sign_up(page, email)
    page.goto("/signin/")
    page.get_by_role("link", name="Forgot password?").click()
    see_title(page, "Forgot Password?")
    page.get_by_label("Email").fill(email)
    page.get_by_role("button", name="Generate password").click()
    expect(page.locator(".alert-success")).to_have_text("Find new password in your inbox")

    link = site.mailed_link(email)
    page.goto(link)
    see_title(page, "New Password")
    page.get_by_label("New Password", exact=True).fill(NEW_PASSWORD)
    page.get_by_label("Repeat New Password").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Save").click()
    see(page, "Your password is successfully changed.")
    sign_in(page, email, NEW_PASSWORD)
    page.goto(link)
    see(page, "This link is not valid any more")
