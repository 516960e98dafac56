"""Notejam: private notes in pads, for signed-in people."""

from __future__ import annotations

import os

from flask import Flask

from notejam import (
    accounts,
    addresses,
    admin,
    commands,
    dates,
    errors,
    health,
    mail,
    metrics,
    notes,
    pads,
    recovery,
    replicas,
    security,
    static_files,
    tracing,
    watching,
)
from notejam.config import Settings
from notejam.dates import Clock
from notejam.db import db as database

# A note of 1 MiB takes up to three times that in a form body (every byte escaped). Beyond this the
# answer is a plain 413; below it, a text that is too long is told to the person as a field error.
MAX_BODY = 4 * 1024 * 1024


def create_app(settings: Settings | None = None, *, clock: Clock = dates.utc_now) -> Flask:
    """Make the app.

    Without settings they are read from the environment, and a missing SECRET_KEY is let pass: this is
    how `flask --app notejam db upgrade` calls it. Whatever serves people (wsgi.py, `python -m notejam`)
    passes settings which were checked for serving.
    """
    settings = settings or Settings.from_environment(os.environ, serving=False)
    app = Flask(__name__, static_folder=None)
    app.config.from_mapping(
        SECRET_KEY=settings.secret_key,
        SECRET_KEY_FALLBACKS=list(settings.secret_key_fallbacks),
        # The last one signs, all are believed: a form that is open while the key changes can be sent.
        WTF_CSRF_SECRET_KEY=[*settings.secret_key_fallbacks, settings.secret_key],
        MAX_CONTENT_LENGTH=MAX_BODY,
        MAX_FORM_MEMORY_SIZE=MAX_BODY,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.is_https,
        # security.guard() calls the CSRF check itself, after the check for a signed-in person.
        WTF_CSRF_CHECK_DEFAULT=False,
        # The token lives as long as the session: a note that took two hours to write can be saved.
        WTF_CSRF_TIME_LIMIT=None,
        # The token is the proof. A Referer, which some people's browsers withhold, is not asked for.
        WTF_CSRF_SSL_STRICT=False,
    )
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.extensions["notejam.settings"] = settings
    database.init_app(app, settings)
    replicas.init_app(app, settings)
    metrics.init_app(app, settings)
    tracing.init_app(app, settings)
    watching.init_app(app)
    dates.init_app(app, settings.timezone, clock)
    security.init_app(app, settings)
    mail.init_app(app, settings)
    errors.init_app(app)
    static_files.init_app(app)
    addresses.init_app(app)
    app.register_blueprint(health.blueprint)
    for blueprint in (accounts.blueprint, recovery.blueprint, notes.blueprint, pads.blueprint):
        app.register_blueprint(blueprint)
    app.cli.add_command(commands.database)
    app.cli.add_command(admin.administration)
    return app
