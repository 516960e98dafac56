"""`python -m notejam`: the app for its developers, on SQLite, with nothing to set.

This is the only place with defaults that would be unsafe in service: a secret key made on the spot, a
database file beside it, mails that are shown and not sent, the development server. A setting in the
environment wins over each of them.
"""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import sys
from pathlib import Path

from werkzeug.serving import run_simple

from notejam import create_app, schema
from notejam.config import load_for_serving
from notejam.db import db
from notejam.mail_settings import LOG

APP = Path(__file__).resolve().parent.parent


def developer_defaults(instance: Path, port: int) -> dict[str, str]:
    """Make the folder of this checkout's own data, and the settings that point into it."""
    instance.mkdir(mode=0o700, exist_ok=True)
    (instance / ".gitignore").write_text("*\n", encoding="utf-8")
    key = instance / "secret-key"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_text(secrets.token_hex(32), encoding="utf-8")
    return {
        "DATABASE_URL": f"sqlite:///{instance / 'notejam.sqlite'}",
        "SECRET_KEY": key.read_text(encoding="utf-8"),
        "NOTEJAM_EXTERNAL_URL": f"http://127.0.0.1:{port}",
        "NOTEJAM_MAIL_URL": LOG,
        "NOTEJAM_VERSION": "development",
    }


def settings_for(environ: dict[str, str], instance: Path, port: int) -> dict[str, str]:
    """Fill in what the environment leaves open."""
    settings = dict(environ)
    for name, value in developer_defaults(instance, port).items():
        if not settings.get(name) and not settings.get(f"{name}_FILE"):
            settings[name] = value
    return settings


def main() -> None:
    """Migrate, then serve on this machine only."""
    parser = argparse.ArgumentParser(prog="python -m notejam", description=__doc__)
    parser.add_argument("--port", type=int, default=5000, help="the port on 127.0.0.1 (default: 5000)")
    parser.add_argument("--reload", action="store_true", help="start anew when a file changes")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for name in ("werkzeug", "notejam.mail"):
        logging.getLogger(name).setLevel(logging.INFO)
    instance = Path(os.environ.get("NOTEJAM_INSTANCE") or APP / "instance")
    app = create_app(load_for_serving(settings_for(dict(os.environ), instance, arguments.port)))
    with app.app_context():
        sys.stdout.write(f"{schema.upgrade(db.engine)} Data: {db.engine.url.render_as_string()}\n")
    run_simple("127.0.0.1", arguments.port, app, threaded=True, use_reloader=arguments.reload)


if __name__ == "__main__":
    main()
