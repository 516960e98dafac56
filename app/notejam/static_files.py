"""Style and icon, served by the app itself."""

from __future__ import annotations

import hashlib
from pathlib import Path

from flask import Flask, Response, abort, request, send_from_directory, url_for

YEAR = 365 * 24 * 3600


def init_app(app: Flask) -> None:
    """Add the route, and for templates the function `static_url`, whose addresses change with the content."""
    folder = Path(app.root_path) / "static"
    stamps = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in folder.iterdir()}

    def static_url(name: str) -> str:
        return url_for("static", name=name, v=stamps[name])

    def serve(name: str) -> Response:
        if name not in stamps:
            abort(404)
        response = send_from_directory(folder, name, etag=stamps[name])
        if request.args.get("v") == stamps[name]:
            response.cache_control.public = True
            response.cache_control.max_age = YEAR
            response.cache_control.immutable = True
            response.cache_control.no_cache = None
        # Else the page came from a pod of another release: this content must not be kept under its address.
        return response

    app.add_url_rule("/static/<name>", endpoint="static", view_func=serve)
    app.add_template_global(static_url)
