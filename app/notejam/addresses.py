"""Addresses of the app's own pages, as templates write them."""

from __future__ import annotations

from functools import lru_cache

from flask import Flask

# Those that stand in every row of a list: to build one from its route takes as long as all else in the row.
NOTE = "/notes/%d/"
PAD = "/pads/%d/"


def init_app(app: Flask) -> None:
    """Give templates a `url_for` that knows paths only.

    Flask's own needs a request whose Host it could parse, so the page for a bad one could not be made; and it
    takes three times as long, which on a page of fifty notes counts.
    """
    adapter = app.url_map.bind("localhost")

    # A few on every page, again and again; those with ids come and go.
    @lru_cache(maxsize=1024)
    def url_for(endpoint: str, **values: str | int) -> str:
        return adapter.build(endpoint, values)

    app.add_template_global(url_for)
