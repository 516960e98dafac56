"""What the keeper tells of roles while an extension is still in the way, on a real PostgreSQL server."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pgha import keeper
from pgha.desired import Desired, make_desired
from pgha.reconcile import Reconciler
from pgha.roles import are_ready
from pgha.scram import matches
from pgha.settings import SettingsError, check_settings
from psycopg import sql

from tests.faults.database import wait_until

DATABASE = {"name": "notejam", "owner": "notejam", "user": "notejam"}
SECRETS = {"app": {"password": "b25l"}, "internal": {"password": "dHdv"}}
ROLES = [
    {"name": "notejam", "secret": {"name": "app", "key": "password"}},
    {
        "name": "replicator",
        "replication": True,
        "memberOf": ["pg_monitor"],
        "secret": {"name": "internal", "key": "password"},
    },
]


def wish(*extensions: str) -> Desired:
    database = {**DATABASE, "extensions": extensions}
    wishes = {"version": "new", "roles": ROLES, "databases": [database], "functions": {}}
    return make_desired(wishes, repr(wishes), SECRETS)


@pytest.fixture(autouse=True)
def clean(postgres: Any) -> Iterator[None]:
    yield
    postgres.execute('DROP DATABASE IF EXISTS "notejam" WITH (FORCE)')
    for role in ("notejam_2", "notejam", "replicator", "reader", "writer"):
        postgres.execute(f'DROP ROLE IF EXISTS "{role}"')


class Told:
    """Stands for the API: the last annotation of the pod."""

    def __init__(self) -> None:
        self.last: dict[str, Any] = {}

    def annotate(self, _: str, annotations: dict[str, str]) -> None:
        self.last = json.loads(annotations[keeper.ANNOTATION])


def play(postgres: Any, monkeypatch: pytest.MonkeyPatch, *wishes: Desired) -> list[dict[str, Any]]:
    """Let a keeper look once at each of these; return what it told after each."""
    told = Told()
    found = keeper.Keeper(None, told, None, "db-0", "db")  # type: ignore[arg-type]
    left = iter(wishes)
    monkeypatch.setattr(keeper, "fetch_desired", lambda *_: next(left))
    monkeypatch.setattr(keeper, "Reconciler", lambda: Reconciler(postgres.connect))
    monkeypatch.setattr(keeper, "connect_locally", postgres.connect)
    monkeypatch.setattr(found, "_look_at_certificates", lambda: None)
    monkeypatch.setattr(found, "_look_at_label", lambda: None)
    monkeypatch.setattr(found, "_look_at_disk", lambda: None)
    rounds = []
    for _ in wishes:
        found.round()
        rounds.append(told.last)
    found._connection.close()  # noqa: SLF001
    return rounds


def test_roles_are_told_before_an_extension_that_is_not_there_yet(
    postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = play(postgres, monkeypatch, wish("only_the_new_image_has_it"), wish())
    assert (first["version"], first["roles"]) == ("", "new")
    assert "only_the_new_image_has_it" in first["problems"][0]
    assert second == {"version": "new", "roles": "new", "problems": []}


def test_a_secret_that_is_not_there_holds_nothing_else_back(
    postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []
    monkeypatch.setattr(keeper, "give_authority", lambda _, secret, *__: given.append(secret))
    wishes = {"version": "new", "roles": ROLES, "databases": [DATABASE], "trust": "app"}
    without = make_desired(wishes, "", {"app": SECRETS["app"]})
    first, second, third = play(postgres, monkeypatch, without, without, make_desired(wishes, "", SECRETS))
    said = "roles: there is no Secret internal, which is for the password of replicator"
    assert first == second == {"version": "", "roles": "", "problems": [said]}
    assert given == ["app", "app", "app"]
    assert third == {"version": "new", "roles": "new", "problems": []}
    with postgres.connect() as connection:
        roles = connection.execute("SELECT rolname FROM pg_roles WHERE rolcanlogin").fetchall()
    assert {("notejam",), ("replicator",)} <= set(roles)


def test_members_do_not_wait_for_the_secret_of_a_user(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = {"name": "reader", "declared": True, "secret": {"name": "mine", "key": "password"}}
    wishes = {"version": "new", "roles": [*ROLES, reader], "databases": [DATABASE]}
    (told,) = play(postgres, monkeypatch, make_desired(wishes, "", SECRETS))
    said = "roles: there is no Secret mine, which is for the password of reader"
    assert told == {"version": "", "roles": "new", "problems": [said]}


def test_a_wrong_line_of_pg_hba_holds_everything_back(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members would not come back from a restart with it."""
    line = "host all all 10.0.0.0/33 scram-sha-256"
    wishes = [wish(), wish("only_the_new_image_has_it")]
    for told in play(postgres, monkeypatch, *(replace(one, hba=(line,)) for one in wishes)):
        assert (told["version"], told["roles"]) == ("", "")
        assert "postgresql.hba[0] is not in pg_hba.conf yet" in told["problems"][0]


def test_roles_that_could_not_be_made_are_not_told(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    desired = wish()
    odd = replace(desired.roles[1], member_of=("nobody_knows_this_group",))
    (told,) = play(postgres, monkeypatch, replace(desired, roles=(desired.roles[0], odd)))
    assert (told["version"], told["roles"]) == ("", "")


def test_a_password_of_another_rotation_is_for_another_login(
    postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Helm writes the Secret first, and what is declared after it."""

    def declare(rotation: int, secrets: dict[str, dict[str, str]]) -> Desired:
        secret = {"name": "app", "key": "password", "rotation": rotation}
        login: dict[str, Any] = {"name": ["notejam", "notejam_2"][rotation], "secret": secret}
        roles = [login, *([{"name": "notejam"}] if rotation else [])]
        wishes = {"version": f"rotation {rotation}", "roles": roles, "databases": [DATABASE]}
        return make_desired(wishes, repr(wishes), secrets)

    # A Secret from before rotations has no such key.
    old, new = SECRETS, {"app": {"password": "bmV3", "rotation": "MQ=="}}
    told = play(postgres, monkeypatch, declare(0, old), declare(0, new), declare(1, new))
    assert [one["roles"] for one in told] == ["rotation 0", "rotation 0", "rotation 1"]
    assert "the Secret app, which is for the password of notejam, is of another rotation" in str(told[1])
    query = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE 'notejam%' ORDER BY 1"
    with postgres.connect() as connection:
        found = dict(connection.execute(query).fetchall())
    assert matches("one", found["notejam"])
    assert matches("new", found["notejam_2"])


def test_a_membership_that_nobody_can_have_holds_up_nothing_else(
    postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = {"name": "reader", "declared": True, "memberOf": ["nobody_knows"], "databases": ["notejam"]}
    database = {**DATABASE, "extensions": ["pg_trgm"]}
    wishes = {"version": "new", "roles": [*ROLES, reader], "databases": [database]}
    desired = make_desired(wishes, "", SECRETS)
    passes: list[Desired] = []
    run = Reconciler.run
    monkeypatch.setattr(Reconciler, "run", lambda self, one: (passes.append(one), run(self, one))[1])
    told, again = play(postgres, monkeypatch, desired, desired)
    assert (told["version"], told["roles"]) == ("", "new")
    said = 'roles: reader cannot be a member of nobody_knows: role "nobody_knows" does not exist'
    assert told["problems"] == [said]
    # Not in every round: it writes.
    assert again == told
    assert len(passes) == 1
    query = "SELECT has_database_privilege('reader', 'notejam', 'CONNECT')"
    with postgres.connect("notejam") as connection:
        assert connection.execute(query).fetchone() == (True,)
        assert connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'").fetchone()


@pytest.mark.parametrize("others", [["reader"], []])
def test_memberships_turned_round_at_once(
    postgres: Any, monkeypatch: pytest.MonkeyPatch, others: list[str]
) -> None:
    """The one that is taken away is in the way of the other; a ring stays refused."""
    monkeypatch.setattr(keeper, "REFUSED_PERIOD", 0.0)

    def declare(*members: list[str]) -> Desired:
        names = zip(("reader", "writer"), members, strict=True)
        users = [{"name": name, "declared": True, "memberOf": groups} for name, groups in names]
        wishes = {"version": "new", "roles": [*ROLES, *users], "databases": [DATABASE]}
        return make_desired(wishes, repr(wishes), SECRETS)

    turned = declare(["writer"], others)
    before, first, second = play(postgres, monkeypatch, declare([], ["reader"]), turned, turned)
    assert (before["version"], first["version"]) == ("new", "")
    assert "reader cannot be a member of writer: " in str(first["problems"])
    assert (second["version"] == "new") == (others == [])


def give_settings(postgres: Any, line: str) -> None:
    """Write postgresql.auto.conf, as nothing but an editor could, and have it read."""
    with postgres.connect() as connection:
        (folder,) = connection.execute("SHOW data_directory").fetchone()
        path = sql.Literal(f"{folder}/postgresql.auto.conf")
        connection.execute(sql.SQL("COPY (SELECT {}) TO {}").format(sql.Literal(line), path))
        connection.execute("SELECT pg_reload_conf()")


def is_pending(postgres: Any) -> bool:
    query = "SELECT pending_restart FROM pg_settings WHERE name = 'max_connections'"
    with postgres.connect() as connection:
        return bool(connection.execute(query).fetchone()[0])


def test_settings_that_postgres_could_not_start_with_are_told(
    postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (well,) = play(postgres, monkeypatch, wish())
    assert (well["version"], well["problems"]) == ("new", [])
    try:
        give_settings(postgres, "timezone = 'Europe/Berln'")
        (told,) = play(postgres, monkeypatch, wish())
        assert told["version"] == ""
        assert "settings: postgresql.parameters.timezone: " in told["problems"][0]
        assert "Postgres cannot start again until it is mended" in told["problems"][0]
        # It waits for a restart, and is right.
        give_settings(postgres, "max_connections = 77")
        wait_until("it waits for a restart", lambda: is_pending(postgres), 30)
        (told,) = play(postgres, monkeypatch, wish())
        assert (told["version"], told["problems"]) == ("new", [])
    finally:
        give_settings(postgres, "")


def test_ciphers_that_nobody_knows_are_told() -> None:
    class Cursor:
        def __init__(self, ciphers: str) -> None:
            self.answers = iter([None, (ciphers,)])

        def execute(self, _: str) -> None:
            pass

        def fetchone(self) -> tuple[str] | None:
            return next(self.answers)

    check_settings(Cursor("HIGH:MEDIUM:+3DES:!aNULL"))
    with pytest.raises(SettingsError, match="ssl_ciphers: 'HIHG' has no cipher that is known here"):
        check_settings(Cursor("HIHG"))


def test_who_leads_again_carries_out_again(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one led meanwhile, and may have carried out something else."""
    leads = iter([True, False, True])
    looks = keeper.Keeper._is_primary  # noqa: SLF001 - what is not played is as it is
    monkeypatch.setattr(keeper.Keeper, "_is_primary", lambda self: looks(self) and next(leads))
    done: list[Desired] = []
    monkeypatch.setattr(keeper.Keeper, "_carry_out", lambda _, desired: done.append(desired))
    told = play(postgres, monkeypatch, wish(), wish(), wish())
    assert len(done) == 2
    assert [one["version"] for one in told] == ["new", "", "new"]


def test_what_makes_a_role_ready(postgres: Any) -> None:
    desired = wish()
    with postgres.connect() as connection:
        assert not are_ready(connection, desired.roles)
        Reconciler(postgres.connect).run(desired)
        assert are_ready(connection, desired.roles)
        app, replicator = desired.roles
        for other in (
            replace(app, password="another"),
            replace(app, is_replication=True),
            replace(replicator, member_of=("pg_monitor", "pg_read_all_data")),
            replace(replicator, acts_as="notejam"),
        ):
            assert not are_ready(connection, [other])
        connection.execute("ALTER ROLE replicator NOLOGIN")
        assert not are_ready(connection, desired.roles)


def test_certificates_are_looked_at_again_only_when_they_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = keeper.Keeper(None, Told(), None, "db-0", "db")  # type: ignore[arg-type]
    looked: list[str] = []

    def look(files: str) -> None:
        looked.append(files)
        if files == "bad":
            raise OSError("they do not fit together")

    for files in ("one", "one", "bad", "bad", "two", "two"):
        monkeypatch.setattr(keeper, "fingerprint", lambda files=files: files)
        monkeypatch.setattr(keeper, "tls_context", lambda files=files: look(files))
        found._attempt("certificates", found._look_at_certificates)  # noqa: SLF001
    assert looked == ["one", "bad", "bad", "two"]
