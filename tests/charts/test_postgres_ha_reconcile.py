"""Roles, databases and extensions become what the values declare, on a real PostgreSQL server."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from pgha.desired import Desired, make_desired
from pgha.reconcile import UNFINISHED, Reconciler, connect_locally
from pgha.scram import make_verifier, matches

APP = {"name": "notejam", "secret": {"name": "app", "key": "password"}}
SECRETS = {"app": {"password": "b25l"}, "reader": {"password": "dHdv"}, "owner": {"password": "dGhyZWU="}}
OWNER = {"name": "owner", "secret": {"name": "owner", "key": "password"}}
CHIEF = {**OWNER, "name": "chief"}
READER = {
    "name": "reader",
    "declared": True,
    "connectionLimit": 3,
    "memberOf": ["pg_read_all_data"],
    "databases": ["notejam"],
    "secret": {"name": "reader", "key": "password"},
}
BACKUP = {
    "name": "backup",
    "replication": True,
    "memberOf": ["pg_read_all_data"],
    "secret": {"name": "reader", "key": "password"},
}


def wish(*roles: dict[str, Any], **database: Any) -> Desired:
    wanted = {"name": "notejam", "owner": "notejam", "user": "notejam", **database}
    wishes = {"version": "1", "roles": [APP, *roles], "databases": [wanted], "functions": {}}
    return make_desired(wishes, repr(wishes), SECRETS)


@pytest.fixture
def reconcile(postgres: Any) -> Iterator[Callable[[Desired], list[str]]]:
    yield lambda desired: Reconciler(postgres.connect).run(desired)
    for database in ("notejam", "more", UNFINISHED):
        postgres.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
    for role in ("notejam_2", "by_hand", "backup", "reader", "owner", "chief", "notejam"):
        postgres.execute(f'DROP ROLE IF EXISTS "{role}"')


def log_in(postgres: Any, user: str, password: str, database: str = "notejam") -> psycopg.Connection[Any]:
    url = postgres.url(database).set(username=user, password=password, drivername="postgresql")
    return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)


def make_notes(postgres: Any, user: str, password: str, database: str = "notejam") -> None:
    with log_in(postgres, user, password, database) as connection:
        connection.execute("CREATE TABLE notes (a int)")


def assert_shut_out(postgres: Any, user: str, password: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        log_in(postgres, user, password)


def test_what_it_says_to_postgres_is_kept_nowhere(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    words: dict[str, Any] = {}
    with monkeypatch.context() as context:
        context.setattr(psycopg, "connect", lambda **given: words.update(given))
        connect_locally()
    url = postgres.url("postgres").set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, options=words["options"]) as connection:
        for setting, value in {
            "log_statement": "none",
            "log_min_duration_statement": "-1",
            "log_min_error_statement": "panic",
            "auto_explain.log_min_duration": "-1",
            "pg_stat_statements.track_utility": "off",
        }.items():
            assert connection.execute(f"SHOW {setting}").fetchone() == (value,)


def test_what_is_declared_is_made_once(postgres: Any, reconcile: Callable[[Desired], list[str]]) -> None:
    desired = wish(READER, extensions=("plpgsql",))
    changes = reconcile(desired)
    assert "role reader created" in changes
    assert "database notejam created" in changes
    assert "one" not in " ".join(changes)
    assert reconcile(desired) == []
    make_notes(postgres, "notejam", "one")
    with log_in(postgres, "reader", "two") as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("INSERT INTO notes VALUES (1)")


def test_a_password_that_changed_is_set(postgres: Any, reconcile: Callable[[Desired], list[str]]) -> None:
    reconcile(wish())
    wishes = {
        "version": "1",
        "roles": [APP],
        "databases": [{"name": "notejam", "owner": "notejam", "user": "notejam"}],
    }
    assert reconcile(make_desired(wishes, "", {"app": {"password": "dHdv"}})) == ["password of notejam"]
    log_in(postgres, "notejam", "two").close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        log_in(postgres, "notejam", "one")


def test_a_rotation_leaves_the_old_login_and_its_connections(
    postgres: Any, reconcile: Callable[[Desired], list[str]]
) -> None:
    reconcile(wish())
    held = log_in(postgres, "notejam", "one")
    second = {"name": "notejam_2", "actsAs": "notejam", "secret": {"name": "reader", "key": "password"}}
    wishes = {
        "version": "2",
        "roles": [second],
        "databases": [{"name": "notejam", "owner": "notejam", "user": "notejam"}],
    }
    reconcile(make_desired(wishes, "", SECRETS))
    with log_in(postgres, "notejam_2", "two") as connection:
        connection.execute("CREATE TABLE made_by_the_second (a int)")
    held.execute("ALTER TABLE made_by_the_second ADD b int")
    held.close()
    log_in(postgres, "notejam", "one").close()


def test_an_owner_takes_over_and_the_user_reads_and_writes(
    postgres: Any, reconcile: Callable[[Desired], list[str]]
) -> None:
    reconcile(wish())
    make_notes(postgres, "notejam", "one")
    desired = wish(OWNER, owner="owner")
    assert "owner owns what notejam had in notejam" in reconcile(desired)
    with log_in(postgres, "owner", "three") as connection:
        connection.execute("ALTER TABLE notes ADD b int")
        connection.execute("CREATE TABLE later (a serial)")
    with log_in(postgres, "notejam", "one") as connection:
        connection.execute("INSERT INTO notes VALUES (1, 2)")
        connection.execute("INSERT INTO later DEFAULT VALUES")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DROP TABLE notes")


def test_an_owner_takes_over_nothing_else(postgres: Any, reconcile: Callable[[Desired], list[str]]) -> None:
    """Postgres reassigns a role's databases together with what it has in one of them."""
    reconcile(with_more(its="notejam"))
    for database in ("notejam", "more"):
        make_notes(postgres, "notejam", "one", database)
    reconcile(with_more(OWNER, owner="owner", its="notejam"))
    with log_in(postgres, "notejam", "one", "more") as connection:
        connection.execute("CREATE SCHEMA mine; DROP TABLE notes")
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        log_in(postgres, "owner", "three", "more")
    with log_in(postgres, "owner", "three") as connection:
        connection.execute("DROP TABLE notes")


def test_another_owner_takes_over_and_the_former_may_not_log_in(
    postgres: Any, reconcile: Callable[[Desired], list[str]]
) -> None:
    reconcile(wish(OWNER, owner="owner"))
    make_notes(postgres, "owner", "three")
    desired = wish(CHIEF, owner="chief")
    changes = reconcile(desired)
    assert "chief owns what owner had in notejam" in changes
    assert "owner is no longer declared and may not log in" in changes
    assert reconcile(desired) == []
    with log_in(postgres, "chief", "three") as connection:
        connection.execute("ALTER TABLE notes ADD b int")
        connection.execute("CREATE TABLE later (a serial)")
    with log_in(postgres, "notejam", "one") as connection:
        connection.execute("INSERT INTO notes VALUES (1, 2)")
        connection.execute("INSERT INTO later DEFAULT VALUES")
    assert_shut_out(postgres, "owner", "three")


def test_without_an_owner_the_application_has_everything_again(
    postgres: Any, reconcile: Callable[[Desired], list[str]]
) -> None:
    reconcile(wish(OWNER, owner="owner"))
    make_notes(postgres, "owner", "three")
    assert "notejam owns what owner had in notejam" in reconcile(wish())
    with log_in(postgres, "notejam", "one") as connection:
        connection.execute("DROP TABLE notes")
    assert_shut_out(postgres, "owner", "three")


@pytest.mark.parametrize("owner", ["owner", "chief"])
def test_the_application_goes_on_in_schemas_of_its_own(
    postgres: Any, reconcile: Callable[[Desired], list[str]], owner: str
) -> None:
    reconcile(wish())
    with log_in(postgres, "notejam", "one") as connection:
        connection.execute("CREATE SCHEMA app")
        connection.execute("CREATE TABLE app.notes (a serial)")
    reconcile(wish(OWNER, owner="owner"))
    with log_in(postgres, "owner", "three") as connection:
        connection.execute("CREATE SCHEMA private")
        connection.execute("CREATE TABLE private.keys (a int)")
        connection.execute("CREATE SCHEMA audit; GRANT USAGE ON SCHEMA audit TO notejam")
        reads = "ALTER DEFAULT PRIVILEGES IN SCHEMA audit GRANT SELECT ON TABLES TO notejam"
        connection.execute(reads)
        connection.execute("CREATE TABLE audit.seen (a int)")
    if owner == "chief":
        reconcile(wish(CHIEF, owner="chief"))
    with log_in(postgres, owner, "three") as connection:
        connection.execute("CREATE TABLE app.later (a serial)")
    with log_in(postgres, "notejam", "one") as connection:
        connection.execute("INSERT INTO app.notes DEFAULT VALUES")
        connection.execute("INSERT INTO app.later DEFAULT VALUES")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM private.keys")
        connection.execute("SELECT * FROM audit.seen")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM audit.seen")


def test_another_database_of_the_application_goes_to_a_user_with_its_tables(
    postgres: Any, reconcile: Callable[[Desired], list[str]]
) -> None:
    reconcile(with_more(READER, its="notejam"))
    make_notes(postgres, "notejam", "one", "more")
    make_notes(postgres, "notejam", "one")
    reconcile(with_more(READER, its="reader"))
    with log_in(postgres, "reader", "two", "more") as connection:
        connection.execute("DROP TABLE notes")
    with log_in(postgres, "notejam", "one") as connection:
        connection.execute("DROP TABLE notes")
    reconcile(with_more(READER, its="notejam"))
    make_notes(postgres, "notejam", "one", "more")


def test_an_owner_that_somebody_set_by_hand_keeps_what_it_has(
    postgres: Any, reconcile: Callable[[Desired], list[str]]
) -> None:
    reconcile(wish())
    with postgres.connect("notejam") as connection:
        connection.execute("CREATE ROLE by_hand LOGIN")
        connection.execute("CREATE TABLE its (a int)")
        connection.execute("ALTER TABLE its OWNER TO by_hand")
        connection.execute("ALTER DATABASE notejam OWNER TO by_hand")
    assert reconcile(wish()) == ["notejam owns notejam"]
    with postgres.connect("notejam") as connection:
        query = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'its'"
        assert connection.execute(query).fetchone() == ("by_hand",)


def test_a_database_whose_making_was_cut_off_lets_nobody_in(
    postgres: Any, reconcile: Callable[[Desired], list[str]]
) -> None:
    """PUBLIC may connect to a new one, until that is taken away."""

    class CutOffError(Exception):
        pass

    def connect(database: str) -> Any:
        connection = postgres.connect(database)
        connection.cursor_factory = CutOff
        return connection

    class CutOff(psycopg.Cursor[Any]):
        def execute(self, query: Any, *words: Any, **options: Any) -> Any:
            text = query if isinstance(query, str) else query.as_string(self)
            if text.startswith("REVOKE ALL"):
                raise CutOffError
            return super().execute(query, *words, **options)

    with pytest.raises(CutOffError):
        Reconciler(connect).run(wish(READER))
    changes = reconcile(wish({**READER, "databases": []}))
    assert "database notejam created" in changes
    assert not may_connect(postgres, "reader", "notejam")
    with postgres.connect() as connection:
        assert connection.execute(
            "SELECT count(*) FROM pg_database WHERE datname = %s", (UNFINISHED,)
        ).fetchone() == (0,)


def test_a_user_taken_out_loses_its_login(postgres: Any, reconcile: Callable[[Desired], list[str]]) -> None:
    reconcile(wish(READER))
    assert reconcile(wish()) == [
        "reader is no longer declared and may not log in",
        "reader is no longer a member of pg_read_all_data",
        "reader may no longer connect to notejam",
    ]
    assert_shut_out(postgres, "reader", "two")
    assert "reader may log in" in reconcile(wish(READER))
    log_in(postgres, "reader", "two").close()


def test_backups_read_every_database_also_one_made_before(
    postgres: Any, reconcile: Callable[[Desired], list[str]]
) -> None:
    reconcile(wish())
    make_notes(postgres, "notejam", "one")
    desired = with_more(BACKUP, READER)
    changes = reconcile(desired)
    assert "backup may connect to notejam" in changes
    assert "backup may connect to more" in changes
    assert reconcile(desired) == []
    with log_in(postgres, "backup", "two") as connection, connection.transaction():
        # As pg_dump does.
        connection.execute("LOCK TABLE notes IN ACCESS SHARE MODE")
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (0,)
    log_in(postgres, "backup", "two", "more").close()


def test_what_a_user_is_no_longer_given_is_taken_away(
    postgres: Any, reconcile: Callable[[Desired], list[str]]
) -> None:
    reconcile(wish(READER))
    less = {**READER, "memberOf": [], "databases": []}
    assert reconcile(wish(less)) == [
        "reader is no longer a member of pg_read_all_data",
        "reader may no longer connect to notejam",
    ]
    assert reconcile(wish(less)) == []
    with pytest.raises(psycopg.OperationalError, match='permission denied for database "notejam"'):
        log_in(postgres, "reader", "two")
    reconcile(wish(READER))
    with log_in(postgres, "reader", "two") as connection:
        assert connection.execute("SELECT pg_has_role('pg_read_all_data', 'USAGE')").fetchone() == (True,)


def test_a_membership_that_somebody_else_granted_is_taken_away_too(
    postgres: Any, reconcile: Callable[[Desired], list[str]]
) -> None:
    reconcile(wish({**READER, "memberOf": []}))
    postgres.execute("CREATE ROLE by_hand")
    postgres.execute("GRANT notejam TO by_hand WITH ADMIN OPTION")
    postgres.execute("SET ROLE by_hand; GRANT notejam TO reader")
    assert reconcile(wish({**READER, "memberOf": []})) == ["reader is no longer a member of notejam"]


def test_roles_that_the_values_do_not_declare_keep_what_they_have(
    postgres: Any, reconcile: Callable[[Desired], list[str]]
) -> None:
    reconcile(wish(BACKUP, READER))
    postgres.execute("CREATE ROLE by_hand IN ROLE pg_read_all_data")
    postgres.execute("GRANT CONNECT ON DATABASE notejam TO by_hand")
    postgres.execute("GRANT pg_monitor TO notejam; GRANT pg_monitor TO backup")
    # What was a user once, and is the owner now, is the chart's own.
    owner = {"name": "reader", "secret": {"name": "reader", "key": "password"}}
    reconcile(wish(BACKUP, owner, owner="reader"))
    with postgres.connect() as connection:
        members = connection.execute(
            "SELECT member::regrole::text, roleid::regrole::text FROM pg_auth_members "
            "WHERE member::regrole::text IN ('by_hand', 'notejam', 'backup', 'reader')"
        ).fetchall()
    assert set(members) == {
        ("by_hand", "pg_read_all_data"),
        ("notejam", "pg_monitor"),
        ("backup", "pg_monitor"),
        ("backup", "pg_read_all_data"),
        ("reader", "pg_read_all_data"),
    }
    assert may_connect(postgres, "by_hand", "notejam")
    assert may_connect(postgres, "notejam", "notejam")
    assert may_connect(postgres, "backup", "notejam")
    assert may_connect(postgres, "reader", "notejam")


def test_a_user_that_owns_a_database_goes_on_with_it(
    postgres: Any, reconcile: Callable[[Desired], list[str]]
) -> None:
    reconcile(with_more(READER))
    reconcile(with_more({**READER, "databases": []}))
    log_in(postgres, "reader", "two", "more").close()
    assert not may_connect(postgres, "reader", "notejam")


def may_connect(postgres: Any, role: str, database: str) -> bool:
    with postgres.connect() as connection:
        query = "SELECT has_database_privilege(%s, %s, 'CONNECT')"
        return bool(connection.execute(query, (role, database)).fetchone()[0])


def with_more(*roles: dict[str, Any], owner: str = "notejam", its: str = "reader") -> Desired:
    """Declare a second database with an owner of `its` own."""
    first = {"name": "notejam", "owner": owner, "user": "notejam"}
    more = {"name": "more", "owner": its, "user": its}
    wishes = {"version": "1", "roles": [APP, *roles], "databases": [first, more]}
    return make_desired(wishes, repr(wishes), SECRETS)


@pytest.mark.parametrize(
    ("secrets", "problem"),
    [
        ({}, "there is no Secret app, which is for the password of notejam"),
        ({"app": {}}, "the Secret app has no key password, which is for the password of notejam"),
        (
            {"app": {"password": "/w=="}},
            "the key password of the Secret app, which is for the password of notejam, is no text in UTF-8",
        ),
    ],
)
def test_a_password_that_cannot_be_read_is_a_problem(
    secrets: dict[str, dict[str, str]], problem: str
) -> None:
    desired = make_desired({"version": "1", "roles": [APP], "databases": []}, "", secrets)
    assert (desired.problems, desired.roles[0].password) == ((problem,), None)


def test_the_digest_follows_wishes_and_passwords() -> None:
    wishes = {"version": "1", "roles": [APP], "databases": []}
    digests = {
        make_desired(wishes, text, {"app": {"password": password}}).digest
        for text, password in (("a", "b25l"), ("a", "dHdv"), ("b", "b25l"))
    }
    assert len(digests) == 3


def test_a_verifier_matches_its_password_only() -> None:
    verifier = make_verifier("correct horse")
    assert matches("correct horse", verifier)
    assert not matches("battery staple", verifier)
    assert not matches("correct horse", None)
    assert not matches("correct horse", "md5abc")


def test_a_verifier_is_the_one_that_postgres_makes(postgres: Any) -> None:
    postgres.execute("CREATE ROLE made_by_postgres PASSWORD 'hunter2'")
    query = b"SELECT rolpassword FROM pg_authid WHERE rolname = 'made_by_postgres'"
    with postgres.connect() as connection:
        (verifier,) = connection.execute(query).fetchone()
    assert matches("hunter2", verifier)
