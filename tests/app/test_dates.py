"""How people read instants."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notejam.dates import humanise
from notejam.models import User
from sqlalchemy import URL

from tests.app.store import Clock, MakeApp, Store
from tests.app.website import Visitor

NOW = datetime(2026, 3, 14, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("instant", "zone", "expected"),
    [
        (datetime(2026, 3, 14, 0, 5, tzinfo=UTC), "UTC", "Today at 00:05"),
        (datetime(2026, 3, 13, 23, 59, tzinfo=UTC), "UTC", "Yesterday at 23:59"),
        (datetime(2026, 3, 13, 0, 0, tzinfo=UTC), "UTC", "Yesterday at 00:00"),
        (datetime(2026, 3, 12, 23, 59, tzinfo=UTC), "UTC", "2026-03-12"),
        (datetime(2026, 3, 13, 23, 59, tzinfo=UTC), "Europe/Helsinki", "Today at 01:59"),
        (datetime(2026, 3, 13, 23, 59, tzinfo=UTC), "America/New_York", "Today at 19:59"),
        (datetime(2026, 3, 12, 23, 59, tzinfo=UTC), "America/New_York", "Yesterday at 19:59"),
        (datetime(2026, 3, 15, 9, 0, tzinfo=UTC), "UTC", "2026-03-15"),
    ],
)
def test_days_change_at_midnight_in_the_zone(instant: datetime, zone: str, expected: str) -> None:
    place = ZoneInfo(zone)
    assert humanise(instant, today=NOW.astimezone(place).date(), zone=place) == expected


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis adds the zone
def test_any_instant_has_a_text(instant: datetime) -> None:
    assert humanise(instant, today=NOW.date(), zone=ZoneInfo("Pacific/Apia"))


def test_page_in_the_configured_zone(
    make_app: MakeApp, database: URL, store: Store, ann: User, clock: Clock
) -> None:
    clock.instant = datetime(2026, 3, 13, 23, 59, tzinfo=UTC)
    note = store.note(ann)
    clock.advance(hours=1)
    visitor = Visitor(make_app(database, timezone=ZoneInfo("Asia/Tokyo")).test_client())
    visitor.post("/signin/", {"email": ann.email, "password": "violet-anchor-42"})

    page = visitor.get(f"/notes/{note.id}/")
    assert page.texts("main time") == ["Today at 08:59"]
    assert page.html.select("main time")[0]["datetime"] == "2026-03-14T08:59:00+09:00"
