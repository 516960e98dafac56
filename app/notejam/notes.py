"""Notes: the list, one note, a new note."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from notejam.dates import now
from notejam.db import db, name_key
from notejam.forms import NoteForm, text_of
from notejam.identity import signed_in_user
from notejam.models import Note, Pad, User

blueprint = Blueprint("notes", __name__)

ID_MAX = 2**31 - 1  # what the id columns hold; a larger number in an address is just a missing page
DEFAULT_ORDER = "-updated_at"
ORDERS: Mapping[str, tuple[ColumnElement[Any], ...]] = MappingProxyType(
    {
        "name": (name_key(Note.name).asc(), Note.id.asc()),
        "-name": (name_key(Note.name).desc(), Note.id.asc()),
        "updated_at": (Note.updated_at.asc(), Note.id.asc()),
        "-updated_at": (Note.updated_at.desc(), Note.id.desc()),
    }
)


def pads_of(user: User) -> Sequence[Pad]:
    """List a person's pads by name."""
    return db.session.scalars(
        select(Pad).where(Pad.user_id == user.id).order_by(name_key(Pad.name), Pad.id)
    ).all()


@blueprint.app_template_global()
def own_pads() -> Sequence[Pad]:
    """List the pads for the sidebar."""
    return pads_of(signed_in_user())


@blueprint.get("/")
def index() -> ResponseReturnValue:
    """List all notes of the person."""
    order = request.args.get("order", DEFAULT_ORDER)
    if order not in ORDERS:
        order = DEFAULT_ORDER
    mine = select(Note).where(Note.user_id == signed_in_user().id)
    notes = db.session.scalars(mine.options(joinedload(Note.pad)).order_by(*ORDERS[order])).all()
    return render_template("notes/index.html", notes=notes, order=order)


@blueprint.get(f"/notes/<int(max={ID_MAX}):note_id>/")
def view(note_id: int) -> ResponseReturnValue:
    """Show one note."""
    return render_template("notes/view.html", note=own_note(note_id))


@blueprint.route("/notes/create/", methods=["GET", "POST"])
def create() -> ResponseReturnValue:
    """Write a note."""
    user = signed_in_user()
    form = NoteForm()
    form.offer_pads(pads_of(user), chosen=request.args.get("pad"))
    if form.validate_on_submit():
        instant = now()
        note = Note(
            name=text_of(form.name),
            text=text_of(form.text),
            pad_id=form.pad_id,
            user_id=user.id,
            created_at=instant,
            updated_at=instant,
        )
        db.session.add(note)
        try:
            db.session.commit()
        except IntegrityError:
            # The pad was deleted between the check and the commit.
            db.session.rollback()
            form.pad.errors = ["Not a valid choice"]
        else:
            flash("Note is successfully created", "success")
            return redirect(url_for("notes.index"))
    return render_template("notes/create.html", form=form)


def own_note(note_id: int) -> Note:
    """Find a note of the person, or 404: a stranger's note and a missing one look the same."""
    note = db.session.scalar(select(Note).where(Note.id == note_id, Note.user_id == signed_in_user().id))
    return note if note is not None else abort(404)
