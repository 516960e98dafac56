"""What the app is measured against: a bare Flask page, and one that makes one query of the same database."""

from __future__ import annotations

import os

from flask import Flask
from notejam.database_url import read_database_url
from notejam.engine import make_engine
from notejam.models import User
from sqlalchemy import select
from sqlalchemy.orm import Session

app = Flask(__name__)
engine = make_engine(read_database_url(os.environ), pool_size=8)


@app.get("/hello")
def hello() -> str:
    """Ask nothing."""
    return "<p>Hello, World!</p>"


@app.get("/one-query")
def one_query() -> str:
    """Ask once, as a page of Flask and SQLAlchemy does."""
    with Session(engine) as session:
        user = session.scalar(select(User).where(User.id == 1))
        return f"<p>Hello, {user.email if user else 'nobody'}!</p>"
