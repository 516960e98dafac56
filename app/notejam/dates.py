"""Instants, and how people read them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
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


def humanise(instant: datetime, *, now: datetime, zone: tzinfo) -> str:
    """Say an instant as a person in the zone would: days change at midnight there."""
    local, today = instant.astimezone(zone), now.astimezone(zone).date()
    if local.date() == today:
        return f"Today at {local:%H:%M}"
    if local.date() == today - timedelta(days=1):
        return f"Yesterday at {local:%H:%M}"
    return local.date().isoformat()


def init_app(app: Flask, zone: tzinfo, clock: Clock) -> None:
    """Give the app its clock, and templates the filter `date`."""
    app.extensions["notejam.clock"] = clock

    def date(instant: datetime) -> Markup:
        text = humanise(instant, now=clock(), zone=zone)
        stamp = instant.astimezone(zone).isoformat(timespec="seconds")
        # Neither part can hold what would have to be escaped, and Markup.format() takes ten times as long.
        return Markup(f'<time datetime="{stamp}">{text}</time>')  # noqa: S704

    app.add_template_filter(date)
