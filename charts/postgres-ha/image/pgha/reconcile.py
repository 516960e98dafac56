"""Makes roles, databases and extensions as declared.

Nothing is ever dropped: a role that is no longer declared loses its login, a database stays. What a declared
role is no longer given is revoked; other roles keep whatever they have. A database that gets another owner
goes to it with all that the one before has in it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from pgha.desired import Database, Desired, Role
from pgha.hba import check_hba
from pgha.ownership import MARK, one, own, share
from pgha.scram import make_verifier, matches

READS_ALL = "pg_read_all_data"
# A database is made under this name: what is found of it was left by a pass that was cut off.
UNFINISHED = "postgres-ha makes this database"
Connect = Callable[[str], Any]


def connect_locally(database: str = "postgres") -> Any:
    """Connect as the superuser, through the socket; waits for no replica, and writes when others may not.

    What it says to Postgres is in no log, and not in what extensions keep: there are verifiers of passwords.
    """
    options = (
        "-c synchronous_commit=local -c default_transaction_read_only=off -c lock_timeout=10s "
        "-c application_name=postgres-ha -c log_statement=none -c log_min_duration_statement=-1 "
        "-c log_min_duration_sample=-1 -c log_transaction_sample_rate=0 -c log_min_error_statement=panic "
        "-c debug_print_parse=off -c debug_print_rewritten=off -c debug_print_plan=off "
        "-c auto_explain.log_min_duration=-1 -c pg_stat_statements.track_utility=off"
    )
    return psycopg.connect(
        host="/run/postgresql",
        user="postgres",
        dbname=database,
        connect_timeout=5,
        options=options,
        autocommit=True,
    )


class Reconciler:
    """One pass."""

    def __init__(self, connect: Connect = connect_locally) -> None:
        self._connect = connect
        self._changes: list[str] = []
        # Memberships that Postgres refuses to users; all else is done. What is revoked may be in the way.
        self.refused: tuple[str, ...] = ()

    def check(self, desired: Desired) -> None:
        """Raise HbaError where pg_hba.conf is wrong: no member may be restarted with it."""
        with self._cursor("postgres") as cursor:
            check_hba(cursor, desired.hba)

    def run(self, desired: Desired) -> list[str]:
        """Make it so; return what was done, without passwords. Raise psycopg.Error where Postgres refuses."""
        owners = {database.owner for database in desired.databases if database.owner != database.user}
        users = {database.user for database in desired.databases}
        with self._cursor("postgres") as cursor:
            for role in desired.roles:
                self._role(cursor, role, is_marked=role.is_declared or role.name in owners)
            for role in desired.roles:
                self._membership(cursor, role)
            self._retire(cursor, {role.name for role in desired.roles})
            for name, functions in desired.functions.items():
                self._functions(cursor, name, functions)
            for database in desired.databases:
                self._database(cursor, database)
        for database in desired.databases:
            with self._cursor(database.name) as cursor:
                own(cursor, self._do, database, users)
        # After that: what a former owner may do goes over to the next one.
        with self._cursor("postgres") as cursor:
            self._let_in(cursor, desired)
        for database in desired.databases:
            with self._cursor(database.name) as cursor:
                self._inside(cursor, database)
        # Last: if Postgres refuses it, all else is done.
        with self._cursor("postgres") as cursor:
            self._revoke(cursor, desired)
        return self._changes

    @contextmanager
    def _cursor(self, database: str) -> Iterator[Any]:
        connection = self._connect(database)
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def _do(self, cursor: Any, what: str, statement: str, **names: str) -> None:
        """Run a statement in which {name} is an identifier."""
        quoted = {key: sql.Identifier(value) for key, value in names.items()}
        cursor.execute(sql.SQL(statement).format(**quoted))
        if what:
            self._changes.append(what)

    def _role(self, cursor: Any, role: Role, *, is_marked: bool) -> None:
        found = one(
            cursor,
            "SELECT rolcanlogin, rolreplication, rolconnlimit, rolpassword, rolname FROM pg_authid "
            "WHERE rolname = %s",
            role.name,
        )
        if found is None:
            self._do(cursor, f"role {role.name} created", "CREATE ROLE {role}", role=role.name)
            found = (False, False, -1, None, role.name)
        login, replication, limit, verifier, _ = found
        if not login:
            self._do(cursor, f"{role.name} may log in", "ALTER ROLE {role} LOGIN", role=role.name)
        if role.is_replication and not replication:
            self._do(cursor, f"{role.name} may replicate", "ALTER ROLE {role} REPLICATION", role=role.name)
        if role.is_declared and limit != role.connection_limit:
            text = f"ALTER ROLE {{role}} CONNECTION LIMIT {int(role.connection_limit)}"
            self._do(cursor, f"connection limit of {role.name}", text, role=role.name)
        if role.password is not None and not matches(role.password, verifier):
            cursor.execute(
                sql.SQL("ALTER ROLE {role} PASSWORD {verifier}").format(
                    role=sql.Identifier(role.name), verifier=sql.Literal(make_verifier(role.password))
                )
            )
            self._changes.append(f"password of {role.name}")
        if is_marked:
            cursor.execute(
                sql.SQL("COMMENT ON ROLE {role} IS {mark}").format(
                    role=sql.Identifier(role.name), mark=sql.Literal(MARK)
                )
            )

    def _membership(self, cursor: Any, role: Role) -> None:
        for group in role.groups:
            known = one(
                cursor,
                "SELECT 1 FROM pg_auth_members WHERE roleid = to_regrole(quote_ident(%s)) "
                "AND member = to_regrole(quote_ident(%s))",
                group,
                role.name,
            )
            if known is None:
                what = f"{role.name} is a member of {group}"
                try:
                    self._do(cursor, what, "GRANT {group} TO {role}", group=group, role=role.name)
                except psycopg.DatabaseError as error:
                    if not role.is_declared or isinstance(error, psycopg.OperationalError):
                        raise
                    said = str(error).splitlines()[0]
                    self.refused += (f"{role.name} cannot be a member of {group}: {said}",)
        if role.acts_as:
            self._do(cursor, "", "ALTER ROLE {role} SET role = {other}", role=role.name, other=role.acts_as)

    def _retire(self, cursor: Any, wanted: set[str]) -> None:
        cursor.execute(
            "SELECT rolname FROM pg_roles WHERE rolcanlogin AND shobj_description(oid, 'pg_authid') = %s",
            (MARK,),
        )
        for (name,) in cursor.fetchall():
            if name not in wanted:
                what = f"{name} is no longer declared and may not log in"
                self._do(cursor, what, "ALTER ROLE {role} NOLOGIN", role=name)

    def _revoke(self, cursor: Any, desired: Desired) -> None:
        """Take away what declared roles are not given any more, and everything from former ones."""
        ours = {role.name for role in desired.roles if not role.is_declared}
        declared = {role.name: role for role in desired.roles if role.is_declared}
        cursor.execute("SELECT rolname FROM pg_roles WHERE shobj_description(oid, 'pg_authid') = %s", (MARK,))
        for (name,) in cursor.fetchall():
            # A user of before may be the chart's own role now, for instance the owner: the mark stays on it.
            if name not in ours:
                role = declared.get(name, Role(name))
                self._revoke_memberships(cursor, role)
                self._revoke_databases(cursor, role)

    def _revoke_memberships(self, cursor: Any, role: Role) -> None:
        cursor.execute(
            "SELECT pg_get_userbyid(roleid), pg_get_userbyid(grantor) "
            "FROM pg_auth_members WHERE member = to_regrole(quote_ident(%s)) ORDER BY 1",
            (role.name,),
        )
        for group, grantor in cursor.fetchall():
            if group not in role.groups:
                what = f"{role.name} is no longer a member of {group}"
                # REVOKE takes away only what the one who is named granted.
                statement = "REVOKE {group} FROM {role} GRANTED BY {grantor}"
                self._do(cursor, what, statement, group=group, role=role.name, grantor=grantor)

    def _revoke_databases(self, cursor: Any, role: Role) -> None:
        # An owner keeps its database.
        cursor.execute(
            "SELECT datname FROM pg_database, aclexplode(datacl) acl "
            "WHERE acl.grantee = to_regrole(quote_ident(%s)) AND acl.privilege_type = 'CONNECT' "
            "AND acl.grantor = datdba AND acl.grantee <> datdba ORDER BY 1",
            (role.name,),
        )
        for (database,) in cursor.fetchall():
            if database not in role.databases:
                what = f"{role.name} may no longer connect to {database}"
                statement = "REVOKE CONNECT, TEMPORARY ON DATABASE {name} FROM {role}"
                self._do(cursor, what, statement, name=database, role=role.name)

    def _functions(self, cursor: Any, role: str, functions: tuple[str, ...]) -> None:
        for function in functions:
            # The signatures come from the chart, not from values.
            self._do(cursor, "", f"GRANT EXECUTE ON FUNCTION {function} TO {{role}}", role=role)

    def _database(self, cursor: Any, database: Database) -> None:
        if one(cursor, "SELECT 1 FROM pg_database WHERE datname = %s", database.name) is None:
            # It gets its name last: nobody must ever connect by the rights that PUBLIC has in a new one.
            names = {"made": UNFINISHED, "name": database.name, "owner": database.owner}
            self._do(cursor, "", "DROP DATABASE IF EXISTS {made}", **names)
            self._do(cursor, "", "CREATE DATABASE {made} OWNER {owner}", **names)
            self._do(cursor, "", "REVOKE ALL ON DATABASE {made} FROM PUBLIC", **names)
            what = f"database {database.name} created"
            self._do(cursor, what, "ALTER DATABASE {made} RENAME TO {name}", **names)

    def _let_in(self, cursor: Any, desired: Desired) -> None:
        for database in desired.databases:
            if database.user != database.owner:
                self._allow(cursor, database.user, database.name)
        for role in desired.roles:
            for name in role.databases:
                self._allow(cursor, role.name, name)
        self._let_backups_in(cursor, desired)

    def _allow(self, cursor: Any, role: str, database: str) -> None:
        self._do(
            cursor, "", "GRANT CONNECT, TEMPORARY ON DATABASE {name} TO {role}", name=database, role=role
        )

    def _let_backups_in(self, cursor: Any, desired: Desired) -> None:
        """Let the chart's own role that reads everything into every database: PUBLIC may not connect."""
        for role in desired.roles:
            if role.is_declared or READS_ALL not in role.member_of:
                continue
            for database in desired.databases:
                query = "SELECT 1 WHERE has_database_privilege(%s, %s, 'CONNECT')"
                if one(cursor, query, role.name, database.name) is None:
                    what = f"{role.name} may connect to {database.name}"
                    statement = "GRANT CONNECT ON DATABASE {name} TO {role}"
                    self._do(cursor, what, statement, name=database.name, role=role.name)

    def _inside(self, cursor: Any, database: Database) -> None:
        for extension in database.extensions:
            if one(cursor, "SELECT 1 FROM pg_extension WHERE extname = %s", extension) is None:
                what = f"extension {extension} in {database.name}"
                self._do(cursor, what, "CREATE EXTENSION {extension} CASCADE", extension=extension)
            else:
                self._do(cursor, "", "ALTER EXTENSION {extension} UPDATE", extension=extension)
        if database.user != database.owner:
            share(cursor, self._do, database, "public")
