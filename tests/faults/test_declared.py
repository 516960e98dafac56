"""What the values declare changes by an upgrade: owner, users, and an image that does not start."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.faults.database import ROOT, Database, FaultError, wait_until
from tests.faults.images import push_upon

READER = ("users[0].name=reader", "users[0].existingSecret=mine", "users[0].memberOf={pg_read_all_data}")
OWNER = "database.owner=boss"
MOST = 9
SERVER = "/usr/lib/postgresql/17/bin/postgres"
STARTER = "/usr/local/bin/pgha"


@dataclass(frozen=True)
class Login:
    """A role with its password, which comes in over TLS through the primary's Service."""

    database: Database
    user: str
    password: str
    ssl_mode: str = "verify-full"

    def sql(self, query: str) -> str:
        """Run SQL; raise FaultError with what Postgres says."""
        words = f"host=extra-primary user={self.user} dbname=notejam sslmode={self.ssl_mode}"
        words += " sslrootcert=/etc/postgres-ha/tls/ca.crt"
        script = (
            f'read -r PGPASSWORD; export PGPASSWORD; psql -XAtq -v ON_ERROR_STOP=1 -c "{query}" "{words}"'
        )
        pod = self.database.primary()
        arguments = ("exec", "-i", pod, "-c", "postgres", "--", "sh", "-c", script)
        return self.database.kubectl(*arguments, stdin=f"{self.password}\n").strip()

    def comes_in(self) -> bool:
        """Whether it does."""
        return self.sql("SELECT current_user") == self.user


def may_log_in(database: Database, role: str) -> bool:
    return database.sql(f"SELECT rolcanlogin FROM pg_roles WHERE rolname = '{role}'") == "t"  # noqa: S608 - ours


def test_an_owner_and_users_come_and_go(other: Database) -> None:
    other.apply("install", members=2)
    other.wait_well()
    app = Login(other, "notejam", other.secret("extra-app")["password"])
    wait_until("the application comes in", app.comes_in, 60)
    app.sql("CREATE TABLE notes (a int)")
    starts = other.server_starts()

    other.make_secret("mine", {"password": "of-their-own-1"})
    other.apply("upgrade", OWNER, *READER, members=2)
    boss = Login(other, "boss", other.secret("extra-owner")["password"])
    reader = Login(other, "reader", "of-their-own-1")
    wait_until("the owner and the user come in", lambda: boss.comes_in() and reader.comes_in(), 60)
    wait_until("the owner has the table", lambda: boss.sql("ALTER TABLE notes ADD b int") == "", 60)
    app.sql("INSERT INTO notes VALUES (1, 2)")
    assert reader.sql("SELECT a, b FROM notes") == "1|2"
    with pytest.raises(FaultError, match="must be owner of table notes"):
        app.sql("DROP TABLE notes")
    with pytest.raises(FaultError, match="permission denied for table notes"):
        reader.sql("DELETE FROM notes")
    boss.sql("CREATE TABLE later (a int)")
    app.sql("INSERT INTO later VALUES (1)")

    other.apply("upgrade", OWNER, members=2)

    wait_until("a user taken out does not come in", lambda: not may_log_in(other, "reader"), 60)
    with pytest.raises(FaultError, match='role "reader" is not permitted to log in'):
        reader.comes_in()
    assert boss.comes_in()

    other.apply("upgrade", "database.owner=chief", members=2)
    chief = Login(other, "chief", other.secret("extra-owner")["password"])
    wait_until("another owner has what the first had", lambda: chief.sql("DROP TABLE later") == "", 60)
    app.sql("INSERT INTO notes VALUES (3, 4)")
    other.helm("rollback", other.release, "1", "--timeout", "5m")
    wait_until("without one, the application has it again", lambda: app.sql("DROP TABLE notes") == "", 60)
    for former in (boss, chief):
        with pytest.raises(FaultError, match=f'role "{former.user}" is not permitted to log in'):
            former.comes_in()
    assert other.server_starts() == starts, "none of it restarts a server"


def test_the_most_members_and_a_password_of_ones_own(other: Database) -> None:
    other.make_secret("mine", {"password": "of-their-own-1"})
    settings = ("credentials.app.existingSecret=mine", "tls.required=false")
    other.apply("install", *settings, members=MOST)
    other.wait_well(600)
    app = Login(other, "notejam", "of-their-own-1", "disable")
    wait_until("the application comes in, without TLS too", app.comes_in, 60)
    other.pgha("switchover", f"extra-{MOST - 1}", pod="extra-1")
    other.wait_well(300)
    assert other.primary() == f"extra-{MOST - 1}"

    other.patch_secret("mine", {"password": "of-their-own-2"})
    wait_until("the new password is set", replace(app, password="of-their-own-2").comes_in, 60)
    with pytest.raises(FaultError, match="password authentication failed"):
        app.comes_in()
    # It is theirs: nothing is added to it.
    assert other.secret("mine") == {"password": "of-their-own-2"}


def push_broken(image: str, folder: Path, program: str, text: str) -> str:
    """Push an image in which a program is another one; return its name."""
    (folder / "Dockerfile").write_text(f"ARG BASE\nFROM ${{BASE}}\nCOPY --chmod=755 program {program}\n")
    (folder / "program").write_text(text, encoding="utf-8")
    return push_upon(image, folder, f"{image.partition('@')[0]}-broken:test")


@pytest.mark.parametrize("members", [1, 2])
def test_what_does_not_start_stops_at_the_first_member_and_a_rollback_mends_it(
    other: Database, tmp_path: Path, members: int
) -> None:
    other.apply("install", members=members)
    other.wait_well()
    image = other.image
    first = f"extra-{members - 1}"
    hopeless = f"{first} cannot start: its Postgres ends at every start"
    other.lead("extra-0")
    other.sql("CREATE TABLE kept (a int)")
    broken = push_broken(image, tmp_path, SERVER, "#!/bin/sh\necho broken on purpose >&2\nexit 1\n")

    def upgrade(image: str, *settings: str) -> None:
        revision = json.loads(other.helm("history", other.release, "--output", "json"))[-1]["revision"]
        with pytest.raises(FaultError, match="post-upgrade"):
            Database(other.context, other.namespace, image, other.release).apply(
                "upgrade", *settings, members=members
            )
        said = other.kubectl("logs", "job/extra-rollout")
        assert hopeless in said
        assert f"look: kubectl logs -c postgres {first}; go back: helm rollback extra" in said
        if members > 1:
            assert other.sql("INSERT INTO kept VALUES (1)", "extra-0") == "", "the primary goes on"
        other.helm("rollback", other.release, str(revision), "--timeout", "10m")
        other.wait_well()
        assert other.sql("INSERT INTO kept VALUES (2)") == ""

    upgrade(broken)
    assert other.primary() == "extra-0"
    # Here it may move: Postgres goes on asking for a restart after the setting was taken away again.
    upgrade(image, "postgresql.parameters.shared_preload_libraries=nowhere")
    assert other.sql("SELECT count(*) FROM kept") == str(2 * members)


def test_a_keeper_that_ends_at_every_start_is_mended_by_a_rollback(other: Database, tmp_path: Path) -> None:
    """It tells nothing of roles then, and the Job must not wait for that in the pod that it is to replace."""
    other.apply("install", members=1)
    other.wait_well()
    other.sql("CREATE TABLE kept (a int)")
    source = (ROOT / "charts" / "postgres-ha" / "image" / "start.py").read_text(encoding="utf-8")
    wrong = "import sys\n\nif sys.argv[1:] == ['keeper']:\n    sys.exit('broken on purpose')\n"
    assert source.count("import sys\n") == 1
    broken = push_broken(other.image, tmp_path, STARTER, source.replace("import sys\n", wrong))
    with pytest.raises(FaultError, match="post-upgrade"):
        Database(other.context, other.namespace, broken, other.release).apply("upgrade", members=1)
    assert "extra-0 cannot start: CrashLoopBackOff" in other.kubectl("logs", "job/extra-rollout")
    other.helm("rollback", other.release, "1", "--timeout", "10m")
    assert "extra-0 cannot tell whether roles are there" in other.kubectl("logs", "job/extra-rollout")
    other.wait_well()
    assert other.sql("SELECT count(*) FROM kept") == "0"
