"""Notes: the list of all, and one note: view, create, edit, delete."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from notejam import metrics, note_lists
from notejam.dates import now
from notejam.db import db
from notejam.forms import NO_PAD, NoteForm, text_of
from notejam.identity import signed_in_user
from notejam.models import ID_MAX, Note
from notejam.pads import forget_pads, own_pads
from notejam.replicas import reader
from notejam.writes import change

blueprint = Blueprint("notes", __name__)
NOTE = f"/notes/<int(max={ID_MAX}):note_id>/"


@blueprint.get("/")
def index() -> ResponseReturnValue:
    """List all notes of the person."""
    notes = note_lists.load(signed_in_user().id)
    return render_template("notes/index.html", notes=notes)


@blueprint.get(NOTE)
def view(note_id: int) -> ResponseReturnValue:
    """Show one note."""
    return render_template("notes/view.html", note=_own_note(note_id, reader()))


@blueprint.route("/notes/create/", methods=["GET", "POST"])
def create() -> ResponseReturnValue:
    """Write a note."""
    form = NoteForm()
    form.offer_pads(own_pads(), chosen=request.args.get("pad"))
    if form.validate_on_submit():
        instant = now()
        note = Note(
            name=text_of(form.name),
            text=text_of(form.text),
            pad_id=form.pad_id,
            user_id=signed_in_user().id,
            created_at=instant,
            updated_at=instant,
        )
        if _save(form, lambda: db.session.add(note)):
            metrics.count_note()
            flash("Note is successfully created", "success")
            return _to_list_of(form.pad_id)
    return render_template("notes/create.html", form=form)


@blueprint.route(f"{NOTE}edit/", methods=["GET", "POST"])
def edit(note_id: int) -> ResponseReturnValue:
    """Change a note, or move it to another pad."""
    note = _own_note(note_id, db.session)
    form = NoteForm()
    form.offer_pads(own_pads(), chosen=str(note.pad_id or NO_PAD))
    form.show(note)
    if form.validate_on_submit() and _save(form, lambda: _update(note, form)):
        flash("Note is successfully updated", "success")
        return _to_list_of(form.pad_id)
    return render_template("notes/edit.html", form=form, note=note)


@blueprint.route(f"{NOTE}delete/", methods=["GET", "POST"])
def delete_note(note_id: int) -> ResponseReturnValue:
    """Delete a note, after a question."""
    note = _own_note(note_id, db.session)
    if request.method == "POST":
        if change(delete(Note).where(Note.id == note.id)) == 0:
            abort(404)
        db.session.commit()
        flash("Note is successfully deleted", "success")
        return _to_list_of(note.pad_id)
    return render_template("notes/delete.html", note=note)


def _own_note(note_id: int, session: Session) -> Note:
    """Find a note of the person, or 404: a stranger's note and a missing one look the same."""
    note = session.scalar(select(Note).where(Note.id == note_id, Note.user_id == signed_in_user().id))
    return note if note is not None else abort(404)


def _update(note: Note, form: NoteForm) -> None:
    """Change what is different. Browsers send every line break as CR LF, whatever was stored."""
    wanted = {"name": text_of(form.name), "text": text_of(form.text), "pad_id": form.pad_id}
    if _lines(text_of(form.text)) == _lines(note.text):
        wanted["text"] = note.text
    changes = {name: value for name, value in wanted.items() if value != getattr(note, name)}
    if not changes:
        return
    if change(update(Note).where(Note.id == note.id).values(**changes, updated_at=now())) == 0:
        abort(404)  # deleted a moment ago


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _save(form: NoteForm, write: Callable[[], None]) -> bool:
    """Write and commit, unless the pad was deleted between the check and now."""
    try:
        write()
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        forget_pads()
        form.offer_pads(own_pads())
        form.pad.errors = ["Not a valid choice"]
        return False
    return True


def _to_list_of(pad_id: int | None) -> Response:
    if pad_id is None:
        return redirect(url_for("notes.index"))
    return redirect(url_for("pads.view", pad_id=pad_id))
