"""Fixtures of the app's tests. What uses a database runs twice: on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskCliRunner
from jinja2 import FileSystemBytecodeCache
from notejam import create_app, passwords
from notejam.config import Settings
from notejam.limit_settings import NO_LIMITS
from notejam.mail_settings import MailKind, MailSettings
from notejam.models import User
from sqlalchemy import URL, make_url

from tests.app.legacy_database import Import, Legacy
from tests.app.mail_server import MailServer, run_mail_server
from tests.app.postgres_server import PostgresServer, run_postgres
from tests.app.serving import Start, servers
from tests.app.store import DATABASES, NOWHERE, SECRET, Clock, MakeApp, MakeDatabase, Store, migrate
from tests.app.website import PASSWORD, Auth, Visitor


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with run_postgres() as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def cheap_hashes() -> Iterator[None]:
    """Hash with little effort: the real effort is some 100 ms at every sign-in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "METHOD", "scrypt:1024:8:1")
        yield


@pytest.fixture(scope="session")
def password_hash(cheap_hashes: None) -> str:  # noqa: ARG001 - comes first
    """The hash of everybody's password."""
    return passwords.hash_password(PASSWORD)


@pytest.fixture(scope="session")
def make_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MakeDatabase:
    """Make a database of its own for whoever asks, with the schema or empty."""
    numbers = itertools.count()
    folder = tmp_path_factory.mktemp("databases")
    template = folder / "template.sqlite"

    @contextmanager
    def sqlite(*, empty: bool) -> Iterator[URL]:
        path = folder / f"{next(numbers)}.sqlite"
        if not empty:
            if not template.exists():
                migrate(make_url(f"sqlite:///{template}"))
            shutil.copy(template, path)
        yield make_url(f"sqlite:///{path}")
        for file in folder.glob(f"{path.name}*"):
            file.unlink()

    @contextmanager
    def postgres(*, empty: bool) -> Iterator[URL]:
        server: PostgresServer = request.getfixturevalue("postgres")
        with server.database(f"test_{next(numbers)}") as url:
            if not empty:
                migrate(url)
            yield url

    kinds = {"sqlite": sqlite, "postgres": postgres}

    def make(kind: str, *, empty: bool = False) -> AbstractContextManager[URL]:
        return kinds[kind](empty=empty)

    return make


@pytest.fixture(scope="session")
def shared_postgres_database(
    make_database: MakeDatabase, postgres: PostgresServer
) -> Iterator[Callable[[], URL]]:
    """One database for most tests, emptied for each: to make one takes a second."""
    with make_database("postgres") as url, postgres.connect(str(url.database)) as connection:

        def emptied() -> URL:
            for table in ("users", "rate_limits", "ended_sessions", "legacy_imports"):
                connection.execute(f"DELETE FROM {table}".encode())  # noqa: S608 - ours
            return url

        yield emptied


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, make_database: MakeDatabase) -> Iterator[URL]:
    """A database with the schema and nothing in it."""
    if request.param == "postgres":
        yield request.getfixturevalue("shared_postgres_database")()
        return
    with make_database("sqlite") as url:
        yield url


@pytest.fixture(params=DATABASES)
def own_database(request: pytest.FixtureRequest, make_database: MakeDatabase) -> Iterator[URL]:
    """A database with the schema, for a test that changes more than rows."""
    with make_database(request.param) as url:
        yield url


@pytest.fixture(params=DATABASES)
def empty_database(request: pytest.FixtureRequest, make_database: MakeDatabase) -> Iterator[URL]:
    """A database without the schema."""
    with make_database(request.param, empty=True) as url:
        yield url


@pytest.fixture
def postgres_database(make_database: MakeDatabase) -> Iterator[URL]:
    with make_database("postgres") as url:
        yield url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def template_cache(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """Compile each template once, not once an app."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def make_app(clock: Clock, template_cache: FileSystemBytecodeCache) -> Iterator[MakeApp]:
    """Make an app on a database, with settings of choice."""
    made: list[Flask] = []

    def make(url: URL, **settings: Any) -> Flask:
        app = create_app(
            replace(
                Settings(database_url=url, secret_key=SECRET, threads=2, database_wait_seconds=0), **settings
            ),
            clock=clock,
        )
        app.jinja_env.bytecode_cache = template_cache
        made.append(app)
        return app

    yield make
    for app in made:
        app.extensions["notejam.engine"].dispose()
        if app.extensions["notejam.replica"]:
            app.extensions["notejam.replica"].engine.dispose()


@pytest.fixture
def app(make_app: MakeApp, database: URL) -> Flask:
    return make_app(database)


@pytest.fixture
def client(app: Flask) -> Visitor:
    """Somebody who has come for the first time."""
    return Visitor(app.test_client())


@pytest.fixture
def stranger(make_app: MakeApp) -> Visitor:
    """Somebody on an app without a database: for what must never ask it."""
    return Visitor(make_app(NOWHERE).test_client())


@pytest.fixture
def runner(app: Flask) -> FlaskCliRunner:
    return app.test_cli_runner()


@pytest.fixture
def auth(client: Visitor) -> Auth:
    return Auth(client)


@pytest.fixture
def store(database: URL, clock: Clock, password_hash: str) -> Iterator[Store]:
    store = Store(database, clock, password_hash)
    yield store
    store.engine.dispose()


@pytest.fixture
def ann(store: Store) -> User:
    return store.user("ann@example.com")


@pytest.fixture
def bob(store: Store) -> User:
    return store.user("bob@example.com")


@pytest.fixture
def signed_in(ann: User, auth: Auth) -> Visitor:
    """Ann, signed in."""
    auth.sign_in(ann.email)
    return auth.visitor


@pytest.fixture(scope="session")
def running_mail_server() -> Iterator[MailServer]:
    with run_mail_server() as server:
        yield server


@pytest.fixture
def mail_server(running_mail_server: MailServer) -> MailServer:
    """A real mail server, with no mail in it."""
    running_mail_server.envelopes.clear()
    return running_mail_server


@pytest.fixture
def mailing_app(make_app: MakeApp, database: URL, mail_server: MailServer) -> Flask:
    """An app that sends mails there, as many as one likes."""
    settings = MailSettings(MailKind.PLAIN, "127.0.0.1", mail_server.port, timeout=10)
    return make_app(database, external_url="http://notes.example.org", mail=settings, limits=NO_LIMITS)


@pytest.fixture
def come_in(app: Flask) -> Callable[[User], Visitor]:
    """Sign somebody in with another browser."""

    def come_in(user: User) -> Visitor:
        auth = Auth(Visitor(app.test_client()))
        assert auth.sign_in(user.email).status == 302
        return auth.visitor

    return come_in


@pytest.fixture
def start(app_folder: Path, tmp_path: Path) -> Iterator[Start]:
    """Start servers; what they say is in the file `output` of tmp_path."""
    with servers(app_folder, tmp_path / "output") as run:
        yield run


@pytest.fixture
def app_folder() -> Path:
    return Path(__file__).parents[2] / "app"


@pytest.fixture
def legacy(tmp_path: Path) -> Iterator[Legacy]:
    made = Legacy(tmp_path / "legacy.db")
    yield made
    made.connection.close()


@pytest.fixture
def run_import(app: Flask, legacy: Legacy) -> Import:
    def invoke(*options: str, dsn: str = legacy.dsn) -> Result:
        return app.test_cli_runner().invoke(args=["notejam", "import-legacy", dsn, *options])

    return invoke
