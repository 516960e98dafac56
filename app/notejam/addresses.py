"""Addresses of the app's own pages, as templates write them."""

from __future__ import annotations

from flask import Flask


def init_app(app: Flask) -> None:
    """Give templates a `url_for` that knows paths only.

    Flask's own needs a request whose Host it could parse, so the page for a bad one could not be made; and it
    takes three times as long, which on a page of fifty notes counts.
    """
    adapter = app.url_map.bind("localhost")

    def url_for(endpoint: str, **values: str | int) -> str:
        return adapter.build(endpoint, values)

    app.add_template_global(url_for)
