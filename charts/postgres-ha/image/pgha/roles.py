"""Whether roles are as declared: members log in with some of them, before databases and extensions matter."""

from collections.abc import Sequence
from typing import Any

from pgha.desired import Role
from pgha.scram import matches

_ROLES = """
    SELECT rolname, rolreplication, rolpassword, ARRAY(
        SELECT pg_get_userbyid(roleid)::text FROM pg_auth_members WHERE member = pg_authid.oid
    )
    FROM pg_authid WHERE rolcanlogin
"""


def are_ready(connection: Any, roles: Sequence[Role]) -> bool:
    """Whether each of the chart's own may log in with its password, and replicate, and has its memberships.

    Members log in with none of the declared ones.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ROLES)
        found = {name: rest for name, *rest in cursor.fetchall()}
    return all(
        role.name in found and _is_ready(role, *found[role.name]) for role in roles if not role.is_declared
    )


def _is_ready(role: Role, may_replicate: bool, verifier: str | None, groups: list[str]) -> bool:
    return (
        set(role.groups) <= set(groups)
        and (may_replicate or not role.is_replication)
        and (role.password is None or matches(role.password, verifier))
    )
