"""A model of notejam in a few lines, and the app beside it: whatever two people do, both say the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from notejam import create_app
from notejam.config import Settings
from notejam.dates import humanise
from notejam.limit_settings import NO_LIMITS
from sqlalchemy import URL

from tests.app.store import DATABASES, SECRET, Clock, MakeDatabase, Store
from tests.app.website import Auth, Page, Visitor

PEOPLE = ("ann", "bob")
NAMES = st.sampled_from(["a", "B", "b", "Ä", "<i>", "\U0001f345 x", "שלום"])
TEXTS = st.sampled_from(["one", "two\r\nlines", "one", "x\x00"])
PEOPLE_ = st.sampled_from(PEOPLE)
PLACES = st.integers(0, 3)
ORDERS = st.sampled_from(["name", "-name", "updated_at", "-updated_at", "nonsense"])


@dataclass(frozen=True)
class ModelPad:
    owner: str
    name: str


@dataclass(frozen=True)
class ModelNote:
    owner: str
    name: str
    text: str
    pad: int | None
    updated_at: datetime


def is_valid(name: str, text: str = "x") -> bool:
    return all(value.strip() and "\x00" not in value for value in (name, text))


class Comparison(RuleBasedStateMachine):
    """Does the same with the app and with the model."""

    url: URL
    visitors: dict[str, Visitor]
    tokens: dict[str, str]
    clock: Clock
    clear: Callable[[], None]

    @initialize()
    def begin(self) -> None:
        self.clear()
        self.pads: dict[int, ModelPad] = {}
        self.notes: dict[int, ModelNote] = {}
        for who in PEOPLE:
            self.create_pad(who, "Garden")
            self.create_note(who, "A note", "one", PEOPLE.index(who))

    def post(self, who: str, path: str, **fields: str) -> Page:
        return self.visitors[who].post_raw(path, {"csrf_token": self.tokens[who], **fields})

    def pick(self, rows: dict[int, Any], place: int) -> int:
        """Choose one of all rows, anybody's, or one that is not there."""
        ids = sorted(rows)
        return ids[place % len(ids)] if ids and place < 3 else 10**6

    def newest(self, who: str) -> int:
        link = self.visitors[who].get("/").html.select("td.note a")[0]["href"]
        return int(str(link).split("/")[2])

    @rule(who=PEOPLE_, name=NAMES)
    def create_pad(self, who: str, name: str) -> None:
        before = set(self.pads)
        assert self.post(who, "/pads/create/", name=name).location == "/"
        page = self.visitors[who].get("/")
        ids = {int(str(link["href"]).split("/")[2]) for link in page.html.select("nav ul li a")}
        [made] = ids - before
        self.pads[made] = ModelPad(who, name)

    @rule(who=PEOPLE_, name=NAMES, text=TEXTS, place=st.none() | PLACES)
    def create_note(self, who: str, name: str, text: str, place: int | None) -> None:
        pad = None if place is None else self.pick(self.pads, place)
        self.clock.advance(minutes=1)
        page = self.post(who, "/notes/create/", name=name, text=text, pad=str(pad or 0))
        if is_valid(name, text) and self.may_use(who, pad):
            assert page.location == (f"/pads/{pad}/" if pad else "/")
            self.notes[self.newest(who)] = ModelNote(who, name, text, pad, self.clock())
        else:
            assert page.status == 200

    def may_use(self, who: str, pad: int | None) -> bool:
        return pad is None or (pad in self.pads and self.pads[pad].owner == who)

    @rule(who=PEOPLE_, which=PLACES, name=NAMES, text=TEXTS, place=st.none() | PLACES)
    def edit_note(self, who: str, which: int, name: str, text: str, place: int | None) -> None:
        note, pad = self.pick(self.notes, which), None if place is None else self.pick(self.pads, place)
        self.clock.advance(minutes=1)
        page = self.post(who, f"/notes/{note}/edit/", name=name, text=text, pad=str(pad or 0))
        if note not in self.notes or self.notes[note].owner != who:
            assert page.status == 404
        elif is_valid(name, text) and self.may_use(who, pad):
            assert page.location == (f"/pads/{pad}/" if pad else "/")
            changed = replace(self.notes[note], name=name, text=text, pad=pad)
            if changed != self.notes[note]:
                self.notes[note] = replace(changed, updated_at=self.clock())
        else:
            assert page.status == 200

    @rule(who=PEOPLE_, which=PLACES)
    def delete_note(self, who: str, which: int) -> None:
        note = self.pick(self.notes, which)
        page = self.post(who, f"/notes/{note}/delete/")
        if note in self.notes and self.notes[note].owner == who:
            pad = self.notes.pop(note).pad
            assert page.location == (f"/pads/{pad}/" if pad else "/")
        else:
            assert page.status == 404

    @rule(who=PEOPLE_, which=PLACES, name=NAMES)
    def edit_pad(self, who: str, which: int, name: str) -> None:
        pad = self.pick(self.pads, which)
        page = self.post(who, f"/pads/{pad}/edit/", name=name)
        if pad in self.pads and self.pads[pad].owner == who:
            assert page.location == f"/pads/{pad}/"
            self.pads[pad] = ModelPad(who, name)
        else:
            assert page.status == 404

    @rule(who=PEOPLE_, which=PLACES)
    def delete_pad(self, who: str, which: int) -> None:
        pad = self.pick(self.pads, which)
        page = self.post(who, f"/pads/{pad}/delete/")
        if pad in self.pads and self.pads[pad].owner == who:
            assert page.location == "/"
            del self.pads[pad]
            self.notes = {key: note for key, note in self.notes.items() if note.pad != pad}
        else:
            assert page.status == 404

    @rule(who=PEOPLE_, which=PLACES)
    def view_note(self, who: str, which: int) -> None:
        key = self.pick(self.notes, which)
        page = self.visitors[who].get(f"/notes/{key}/")
        note = self.notes.get(key)
        if note is None or note.owner != who:
            assert page.status == 404
        else:
            assert page.title == note.name
            assert page.html.select("div.note")[0].get_text() == note.text

    @rule(who=PEOPLE_, which=PLACES, order=ORDERS)
    def view_pad(self, who: str, which: int, order: str) -> None:
        key = self.pick(self.pads, which)
        page = self.visitors[who].get(f"/pads/{key}/?order={order}")
        pad = self.pads.get(key)
        if pad is None or pad.owner != who:
            assert page.status == 404
        else:
            inside = {number: note for number, note in self.notes.items() if note.pad == key}
            assert page.title == f"{pad.name} ({len(inside)})"
            assert self.shown(page) == self.sorted(inside, order)

    @rule(who=PEOPLE_, order=ORDERS)
    def view_all(self, who: str, order: str) -> None:
        page = self.visitors[who].get(f"/?order={order}")
        mine = {key: note for key, note in self.notes.items() if note.owner == who}
        assert page.title == f"All notes ({len(mine)})"
        assert self.shown(page) == self.sorted(mine, order)
        pads = [
            note.pad and self.pads[note.pad].name for note in (mine[key] for key in self.sorted(mine, order))
        ]
        assert [cell.get_text() for cell in page.html.select("td.pad")] == [pad or "No pad" for pad in pads]

    @rule(hours=st.integers(1, 30))
    def wait(self, hours: int) -> None:
        self.clock.advance(hours=hours)

    def shown(self, page: Page) -> list[int]:
        rows = page.html.select("table.notes tbody tr")
        keys = [int(str(row.select("td.note a")[0]["href"]).split("/")[2]) for row in rows]
        for row, key in zip(rows, keys, strict=True):
            note = self.notes[key]
            assert row.select("td.note a")[0].get_text() == note.name
            shown = humanise(note.updated_at, today=self.clock().date(), zone=UTC)
            assert row.select("td.date")[0].get_text() == shown
        return keys

    @staticmethod
    def sorted(notes: dict[int, ModelNote], order: str) -> list[int]:
        keys = sorted(notes)
        if order.endswith("name"):
            return sorted(keys, key=lambda key: notes[key].name.lower(), reverse=order.startswith("-"))
        if order == "updated_at":
            return sorted(keys, key=lambda key: notes[key].updated_at)
        return sorted(keys, key=lambda key: (notes[key].updated_at, key), reverse=True)

    @invariant()
    def sidebars_agree(self) -> None:
        for who in PEOPLE:
            page = self.visitors[who].get("/pads/create/")
            mine = sorted((pad.name.lower(), key) for key, pad in self.pads.items() if pad.owner == who)
            links = [str(link["href"]) for link in page.html.select("nav ul li a")]
            assert links == [f"/pads/{key}/" for _, key in mine]


@pytest.fixture(params=DATABASES)
def comparison(
    request: pytest.FixtureRequest, make_database: MakeDatabase, clock: Clock, password_hash: str
) -> Iterator[type[Comparison]]:
    with make_database(request.param) as url:
        config = Settings(database_url=url, secret_key=SECRET, threads=2, limits=NO_LIMITS)
        app = create_app(config, clock=clock)
        store = Store(url, clock, password_hash)
        visitors = {}
        for who in PEOPLE:
            store.user(f"{who}@example.com")
            visitors[who] = Visitor(app.test_client())
            Auth(visitors[who]).sign_in(f"{who}@example.com")

        def clear() -> None:
            with store.engine.begin() as connection:
                for table in ("notes", "pads"):
                    connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 - ours

        class Both(Comparison):
            pass

        Both.url, Both.visitors, Both.clock, Both.clear = url, visitors, clock, staticmethod(clear)
        Both.tokens = {who: visitor.token_for("/pads/create/") for who, visitor in visitors.items()}
        yield Both
        store.engine.dispose()
        app.extensions["notejam.engine"].dispose()


def test_the_app_does_what_the_model_does(comparison: type[Comparison]) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call] # hypothesis ships no type for it
        comparison,
        settings=settings(
            max_examples=12,
            stateful_step_count=20,
            phases=(Phase.generate, Phase.shrink),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
