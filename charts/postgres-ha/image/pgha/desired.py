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
    # Passwords that cannot be read; their roles keep those they have, and all else is carried out.
    problems: tuple[str, ...] = ()
    # Whether one of them is of the chart's own roles, which members need.
    is_short: bool = False


def fetch_desired(api: Api, scope: str) -> Desired:
    """Read the wishes; raise OSError where the API does not answer. A missing Secret is a problem of it."""
    text = api.call("GET", f"/configmaps/{scope}-desired")["data"]["desired.json"]
    wishes = json.loads(text)
    names = sorted({role["secret"]["name"] for role in wishes["roles"] if "secret" in role})
    secrets = {name: api.find(f"/secrets/{name}") for name in names}
    found = {name: secret.get("data") or {} for name, secret in secrets.items() if secret is not None}
    return make_desired(wishes, text, found)


def read_password(role: dict[str, Any], secrets: dict[str, dict[str, str]]) -> str:
    """Return a role's password; raise ValueError, without any of it, where it cannot be read."""
    name, key = role["secret"]["name"], role["secret"]["key"]
    what = f"which is for the password of {role['name']}"
    if name not in secrets:
        raise ValueError(f"there is no Secret {name}, {what}")
    if key not in secrets[name]:
        raise ValueError(f"the Secret {name} has no key {key}, {what}")
    # Helm writes Secrets first: of another rotation, the password is for the other login, not for this.
    wanted = role["secret"].get("rotation")
    found = base64.b64decode(secrets[name].get("rotation", "")) or b"0"
    if wanted is not None and found != str(wanted).encode():
        raise ValueError(
            f"the Secret {name}, {what}, is of another rotation than {wanted}: an upgrade "
            "is on its way, or broke off and must be run again"
        )
    try:
        return base64.b64decode(secrets[name][key]).decode().rstrip("\n")
    except ValueError:
        raise ValueError(f"the key {key} of the Secret {name}, {what}, is no text in UTF-8") from None


def make_desired(wishes: dict[str, Any], text: str, secrets: dict[str, dict[str, str]]) -> Desired:
    """Put wishes and passwords together."""
    hashed = hashlib.sha256(text.encode())
    roles, problems, is_short = [], [], False
    for role in wishes["roles"]:
        password = None
        if "secret" in role:
            try:
                password = read_password(role, secrets)
            except ValueError as error:
                problems.append(str(error))
                is_short = is_short or not role.get("declared")
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
        problems=tuple(problems),
        is_short=is_short,
    )
