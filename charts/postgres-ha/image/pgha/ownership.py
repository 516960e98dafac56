"""Gives a database, and what is in it, to the owner that the values name."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any

from pgha.desired import Database

MARK = "declared in the values of postgres-ha"
_GRANTS = (
    "GRANT USAGE ON SCHEMA {schema} TO {user}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {user}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {user}",
    "{defaults} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {user}",
    "{defaults} GRANT USAGE, SELECT ON SEQUENCES TO {user}",
)
_DEFAULTS = "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema}"
# Schemas, other than public, in which the application works with what a role has: its own, and those where
# that role lets it write. Where it may only read, it is given nothing.
_SHARED = """
    SELECT nspname FROM pg_namespace WHERE %(giver)s = %(user)s AND nspname <> 'public' AND (
        nspowner = to_regrole(quote_ident(%(giver)s))
        OR oid IN (SELECT relnamespace FROM pg_class WHERE relowner = to_regrole(quote_ident(%(giver)s)))
    ) AND nspname !~ '^pg_'
    UNION SELECT nspname FROM pg_namespace
    JOIN pg_default_acl ON defaclnamespace = pg_namespace.oid, aclexplode(defaclacl) acl
    WHERE nspname <> 'public' AND defaclrole = to_regrole(quote_ident(%(giver)s))
        AND defaclobjtype = 'r' AND acl.privilege_type = 'INSERT'
        AND acl.grantee = to_regrole(quote_ident(%(user)s))
"""
# Runs a statement with the names in it: cursor, what is told of it, statement, names.
Do = Callable[..., None]


def one(cursor: Any, query: str, *values: str) -> Any:
    """Return the first row, None where there is none."""
    cursor.execute(query, values)
    return cursor.fetchone()


def own(cursor: Any, do: Do, database: Database, ours: AbstractSet[str]) -> None:
    """Give the owner the database, and what its former owner or the application has in it.

    A former owner keeps what it has, unless it is among `ours` or was declared once.
    """
    former, was_declared = one(
        cursor,
        "SELECT rolname, shobj_description(pg_roles.oid, 'pg_authid') IS NOT DISTINCT FROM %s "
        "FROM pg_database JOIN pg_roles ON pg_roles.oid = datdba WHERE datname = %s",
        MARK, database.name,
    )  # fmt: skip
    owns = "SELECT 1 FROM pg_class WHERE relowner = to_regrole(quote_ident(%s)) LIMIT 1"
    givers = [former] if was_declared or former in ours else []
    if one(cursor, owns, database.user) is not None:
        givers.append(database.user)
    for giver in dict.fromkeys(givers):
        if giver != database.owner:
            _take_over(cursor, do, database, giver)
    if former != database.owner:
        # Last: until then, a pass that is cut off begins anew.
        what = f"{database.owner} owns {database.name}"
        statement = "ALTER DATABASE {name} OWNER TO {owner}"
        do(cursor, what, statement, name=database.name, owner=database.owner)


def _take_over(cursor: Any, do: Do, database: Database, giver: str) -> None:
    with cursor.connection.transaction():
        cursor.execute("SELECT datname FROM pg_database WHERE datdba = to_regrole(quote_ident(%s))", (giver,))
        kept = [name for (name,) in cursor.fetchall()]
        cursor.execute(_SHARED, {"giver": giver, "user": database.user})
        shared = [name for (name,) in cursor.fetchall()]
        do(
            cursor,
            f"{database.owner} owns what {giver} had in {database.name}",
            "REASSIGN OWNED BY {giver} TO {owner}",
            giver=giver,
            owner=database.owner,
        )
        # It takes databases, too, and this is about one.
        for name in kept:
            do(cursor, "", "ALTER DATABASE {name} OWNER TO {giver}", name=name, giver=giver)
        if database.user != database.owner:
            for schema in shared:
                share(cursor, do, database, schema)


def share(cursor: Any, do: Do, database: Database, schema: str) -> None:
    """Let the application read and write what the owner has, and will have, in a schema."""
    names = {"schema": schema, "user": database.user, "owner": database.owner}
    for grant in _GRANTS:
        do(cursor, "", grant.replace("{defaults}", _DEFAULTS), **names)
