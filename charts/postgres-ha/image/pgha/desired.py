"""What the values declare of roles and databases: the ConfigMap <name>-desired and the Secrets it names."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from pgha.kube import Api


@dataclass(frozen=True)
class Role:
    """A role that logs in. `acts_as` is another role that its sessions become."""

    name: str
    password: str | None = None
    member_of: tuple[str, ...] = ()
    acts_as: str = ""
    is_replication: bool = False
    is_declared: bool = False
    connection_limit: int = -1
    databases: tuple[str, ...] = ()

    @property
    def groups(self) -> tuple[str, ...]:
        """Every role that it is to be a member of, each once."""
        return tuple(dict.fromkeys((*self.member_of, *([self.acts_as] if self.acts_as else []))))


@dataclass(frozen=True)
class Database:
    """A database, its owner, and the extensions it has. `user` works with what the owner made."""

    name: str
    owner: str
    user: str
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Desired:
    """All of it; `digest` changes with any of it, passwords included."""

    digest: str
    version: str
    roles: tuple[Role, ...] = ()
    databases: tuple[Database, ...] = ()
    functions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    # The Secret that is to have the authority of the certificates, and what it has now, in base64. Empty
    # where the Secret is not the chart's.
    trust: str = ""
    trusted: str = ""
    # Lines that pg_hba.conf is to have.
    hba: tuple[str, ...] = ()


def fetch_desired(api: Api, scope: str) -> Desired:
    """Read the wishes; raise OSError where the API or a Secret is not there."""
    text = api.call("GET", f"/configmaps/{scope}-desired")["data"]["desired.json"]
    wishes = json.loads(text)
    names = sorted({role["secret"]["name"] for role in wishes["roles"] if "secret" in role})
    found = {name: api.call("GET", f"/secrets/{name}").get("data", {}) for name in names}
    return make_desired(wishes, text, found)


def make_desired(wishes: dict[str, Any], text: str, secrets: dict[str, dict[str, str]]) -> Desired:
    """Put wishes and passwords together."""
    hashed = hashlib.sha256(text.encode())
    roles = []
    for role in wishes["roles"]:
        password = None
        if "secret" in role:
            name, key = role["secret"]["name"], role["secret"]["key"]
            if key not in secrets[name]:
                raise OSError(f"the Secret {name} has no key {key}, which is the password of {role['name']}")
            password = base64.b64decode(secrets[name][key]).decode().rstrip("\n")
            hashed.update(f"{role['name']}={password}\n".encode())
        roles.append(
            Role(
                name=role["name"],
                password=password,
                member_of=tuple(role.get("memberOf", ())),
                acts_as=role.get("actsAs", ""),
                is_replication=bool(role.get("replication")),
                is_declared=bool(role.get("declared")),
                connection_limit=int(role.get("connectionLimit", -1)),
                databases=tuple(role.get("databases", ())),
            )
        )
    databases = tuple(
        Database(item["name"], item["owner"], item["user"], tuple(item.get("extensions", ())))
        for item in wishes["databases"]
    )
    trust = wishes.get("trust", "")
    functions = {role: tuple(names) for role, names in wishes.get("functions", {}).items()}
    return Desired(
        digest=hashed.hexdigest(),
        version=wishes["version"],
        roles=tuple(roles),
        databases=databases,
        functions=functions,
        trust=trust,
        trusted=secrets.get(trust, {}).get("ca.crt", ""),
        hba=tuple(wishes.get("hba") or ()),
    )
