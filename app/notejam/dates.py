"""Instants, and how people read them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import cast

from flask import Flask, current_app
from markupsafe import Markup

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Read the system's clock."""
    return datetime.now(UTC)


def now() -> datetime:
    """Read the clock of the current app."""
    return cast("Clock", current_app.extensions["notejam.clock"])()


def humanise(instant: datetime, *, today: date, zone: tzinfo) -> str:
    """Say an instant as a person in the zone would, on that day there."""
    local = instant.astimezone(zone)
    if local.date() == today:
        return f"Today at {local:%H:%M}"
    if local.date() == today - timedelta(days=1):
        return f"Yesterday at {local:%H:%M}"
    return local.date().isoformat()


def init_app(app: Flask, zone: tzinfo, clock: Clock) -> None:
    """Give the app its clock, and templates the filter `date`."""
    app.extensions["notejam.clock"] = clock

    @lru_cache(maxsize=2048)  # a list shows the same instants again and again
    def show(instant: datetime, today: date) -> Markup:
        text = humanise(instant, today=today, zone=zone)
        stamp = instant.astimezone(zone).isoformat(timespec="seconds")
        # Neither part can hold what would have to be escaped, and Markup.format() takes ten times as long.
        return Markup(f'<time datetime="{stamp}">{text}</time>')  # noqa: S704

    def show_today(instant: datetime) -> Markup:
        return show(instant, clock().astimezone(zone).date())

    app.add_template_filter(show_today, "date")
