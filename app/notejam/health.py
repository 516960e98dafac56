"""What the machinery asks: is the process alive, may it have traffic, which version is it."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from notejam import schema
from notejam.config import Settings
from notejam.db import db
from notejam.logs import reason_of
from notejam.patience import impatience

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def live() -> ResponseReturnValue:
    """Answer, as long as the process can. The database is not asked: a restart would not mend it."""
    return {"status": "ok"}


@blueprint.get("/readyz")
def ready() -> ResponseReturnValue:
    """Tell whether the database answers with a schema that has all this code needs.

    A schema ahead of the code is ready: during a rollout the old pods go on serving after the migration.
    """
    try:
        with impatience(), db.engine.connect() as connection:
            state = schema.state_of(connection)
    except SQLAlchemyError as error:
        current_app.logger.warning("not ready: the database does not answer: %s", reason_of(error))
        checks = {"database": "unreachable", "schema": "unknown"}
    else:
        checks = {"database": "ok", "schema": state.value}
        if state.is_enough:
            return {"status": "ready", "checks": checks}
        current_app.logger.warning("not ready: the schema is %s", state.value)
    return {"status": "not ready", "checks": checks}, 503


@blueprint.get("/version")
def version() -> ResponseReturnValue:
    """Tell which build this is."""
    settings = cast("Settings", current_app.extensions["notejam.settings"])
    return {"version": settings.version, "commit": settings.commit}
