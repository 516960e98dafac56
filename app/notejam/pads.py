"""Pads: the sidebar, and one pad: view, create, edit, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import bindparam, delete, select, update

from notejam import note_lists
from notejam.db import db, name_key
from notejam.forms import PadForm, text_of
from notejam.identity import signed_in_user
from notejam.models import ID_MAX, OwnPad, Pad
from notejam.replicas import reader
from notejam.writes import change

blueprint = Blueprint("pads", __name__)
_pads = Pad.__table__.c
# Made once, and of the table: every page asks for this.
_OWN_PADS = (
    select(_pads.id, _pads.name)
    .where(_pads.user_id == bindparam("user"))
    .order_by(name_key(_pads.name), _pads.id)
)
PAD = f"/pads/<int(max={ID_MAX}):pad_id>/"


@blueprint.app_template_global()
def own_pads() -> Sequence[OwnPad]:
    """List the person's pads by name: asked once a request, for the sidebar and whatever else."""
    if "own_pads" not in g:
        found = reader().execute(_OWN_PADS, {"user": signed_in_user().id})
        g.own_pads = [OwnPad(*row) for row in found]
    return cast("Sequence[OwnPad]", g.own_pads)


def forget_pads() -> None:
    """Ask for the pads anew when somebody needs them."""
    g.pop("own_pads", None)


@blueprint.get(PAD)
def view(pad_id: int) -> ResponseReturnValue:
    """List the notes of a pad."""
    pad = _own_pad(pad_id)
    notes = note_lists.load(signed_in_user().id, pad.id)
    return render_template("pads/view.html", pad=pad, notes=notes)


@blueprint.route("/pads/create/", methods=["GET", "POST"])
def create() -> ResponseReturnValue:
    """Make a pad."""
    form = PadForm()
    if form.validate_on_submit():
        db.session.add(Pad(name=text_of(form.name), user_id=signed_in_user().id))
        db.session.commit()
        flash("Pad is successfully created", "success")
        return redirect(url_for("notes.index"))
    return render_template("pads/create.html", form=form)


@blueprint.route(f"{PAD}edit/", methods=["GET", "POST"])
def edit(pad_id: int) -> ResponseReturnValue:
    """Rename a pad."""
    pad = _own_pad(pad_id)
    form = PadForm()
    form.show(pad)
    if form.validate_on_submit():
        if change(update(Pad).where(Pad.id == pad.id).values(name=text_of(form.name))) == 0:
            abort(404)  # deleted a moment ago
        db.session.commit()
        flash("Pad is successfully updated", "success")
        return redirect(url_for("pads.view", pad_id=pad.id))
    return render_template("pads/edit.html", form=form, pad=pad)


@blueprint.route(f"{PAD}delete/", methods=["GET", "POST"])
def delete_pad(pad_id: int) -> ResponseReturnValue:
    """Delete a pad with its notes, after a question."""
    pad = _own_pad(pad_id)
    if request.method == "POST":
        if change(delete(Pad).where(Pad.id == pad.id)) == 0:
            abort(404)
        db.session.commit()
        flash("Pad is successfully deleted", "success")
        return redirect(url_for("notes.index"))
    return render_template("pads/delete.html", pad=pad)


def _own_pad(pad_id: int) -> OwnPad:
    """Find a pad of the person, or 404: a stranger's pad and a missing one look the same."""
    return next((pad for pad in own_pads() if pad.id == pad_id), None) or abort(404)
