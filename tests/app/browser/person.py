"""What a person does in the browser."""

from __future__ import annotations

from playwright.sync_api import Page, expect

PASSWORD = "correct-horse-battery-9"


def sign_up(page: Page, email: str, password: str = PASSWORD) -> None:
    page.goto("/signup/")
    page.get_by_label("Email", exact=True).fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_label("Repeat Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign up").click()
    see(page, "Account is created. Now you can sign in.")


def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    page.goto("/signin/")
    page.get_by_label("Email", exact=True).fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()
    see(page, "You are signed in!")


def see(page: Page, text: str) -> None:
    """See a message at the top."""
    expect(page.locator(".alert-area > .alert")).to_have_text(text)


def see_title(page: Page, title: str) -> None:
    """See where one is."""
    expect(page).to_have_title(title)
    expect(page.locator("h1.bold-header > span").last).to_have_text(title)


def make_pad(page: Page, name: str) -> None:
    page.get_by_role("link", name="New pad").click()
    see_title(page, "New pad")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Save").click()
    see(page, "Pad is successfully created")


def write_note(page: Page, name: str, text: str, pad: str = "") -> None:
    page.get_by_role("link", name="New note").click()
    see_title(page, "New note")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Note", exact=True).fill(text)
    if pad:
        page.get_by_label("Pad", exact=True).select_option(label=pad)
    page.get_by_role("button", name="Save").click()
    see(page, "Note is successfully created")


def names_of(page: Page) -> list[str]:
    """Names in the list, from the top."""
    return page.locator("table.notes td:first-child a").all_inner_texts()
