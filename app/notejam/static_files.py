"""Style and icon, served by the app itself, under names that change with their content."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from pathlib import Path

from flask import Flask, Response, abort, request

PATH = "/static/"
YEAR = 365 * 24 * 3600
_STAMPED = re.compile(r"(?P<stem>[\w-]+)\.(?P<stamp>[0-9a-f]{12})\.(?P<suffix>\w+)")


def init_app(app: Flask) -> None:
    """Add the route, and for templates the function `static_url`: `notejam.css` is at `notejam.STAMP.css`."""
    folder = Path(app.root_path) / "static"
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    stamps = {name: hashlib.sha256(content).hexdigest()[:12] for name, content in files.items()}

    def static_url(name: str) -> str:
        stem, _, suffix = name.rpartition(".")
        return f"{PATH}{stem}.{stamps[name]}.{suffix}"

    def serve(name: str) -> Response:
        found = _STAMPED.fullmatch(name)
        plain = f"{found['stem']}.{found['suffix']}" if found else name
        if plain not in files:
            abort(404)
        response = Response(files[plain], mimetype=mimetypes.guess_type(plain)[0])
        response.set_etag(stamps[plain])
        if found and found["stamp"] == stamps[plain]:
            response.cache_control.public = True
            response.cache_control.max_age = YEAR
            response.cache_control.immutable = True
        else:
            # The page came from a pod of another release: this content must not be kept under its name.
            response.cache_control.no_cache = True
        response.make_conditional(request)
        return response

    app.add_url_rule(f"{PATH}<name>", endpoint="static", view_func=serve)
    app.add_template_global(static_url)
