"""The addresses of databases, as the settings give them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from notejam.environment import ConfigError, read_text

DATABASE_EXAMPLE = "DATABASE_URL=postgresql://notejam:PASSWORD@db.example.org:5432/notejam"
REPLICA_EXAMPLE = "DATABASE_REPLICA_URL=postgresql://notejam:PASSWORD@replicas.example.org:5432/notejam"
REPLICA_HOST = "DATABASE_REPLICA_HOST"
REPLICA_HOST_EXAMPLE = f"{REPLICA_HOST}=replicas.example.org:5432"
POSTGRES_SCHEMES = frozenset({"postgresql", "postgres", "postgresql+psycopg"})

# scheme://user:password@host:port,host:port/name - the form of libpq, which SQLAlchemy's own parser refuses
_SEVERAL_HOSTS = re.compile(
    r"(?P<scheme>[a-z0-9+]+)://(?P<user>[^@/]*@)?(?P<hosts>[^@/?]*,[^@/?]*)(?P<rest>/.*)"
)
_HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?")


def read_database_url(environ: Mapping[str, str]) -> URL:
    """Read DATABASE_URL."""
    name = "DATABASE_URL"
    text = read_text(environ, name, DATABASE_EXAMPLE)
    if text is None:
        raise ConfigError(name, "is not set", DATABASE_EXAMPLE)
    return parse_url(text, name, DATABASE_EXAMPLE)


def read_replica_url(environ: Mapping[str, str], primary: URL) -> URL | None:
    """Read DATABASE_REPLICA_URL or, where all but the host is as in DATABASE_URL, DATABASE_REPLICA_HOST."""
    name, host = "DATABASE_REPLICA_URL", _read_replica_host(environ)
    text = read_text(environ, name, REPLICA_EXAMPLE)
    if text is None and host is None:
        return None
    if text is not None and host is not None:
        raise ConfigError(name, f"and {REPLICA_HOST} are both set; keep one", REPLICA_EXAMPLE)
    if text is None:
        return _with_host(primary, str(host))
    url = parse_url(text, name, REPLICA_EXAMPLE)
    if "sqlite" in (url.get_backend_name(), primary.get_backend_name()):
        raise ConfigError(name, "needs PostgreSQL here and in DATABASE_URL", REPLICA_EXAMPLE)
    return url


def _read_replica_host(environ: Mapping[str, str]) -> str | None:
    host = environ.get(REPLICA_HOST) or None
    if host is not None and not _HOST.fullmatch(host):
        raise ConfigError(REPLICA_HOST, "must be a host, with or without a port", REPLICA_HOST_EXAMPLE)
    return host


def _with_host(primary: URL, host: str) -> URL:
    if primary.get_backend_name() == "sqlite":
        raise ConfigError(REPLICA_HOST, "needs PostgreSQL in DATABASE_URL", REPLICA_HOST_EXAMPLE)
    name, _, port = host.partition(":")
    # Several hosts, and the role that they must have, are the primary's affair.
    rest = primary.difference_update_query(["host", "port", "target_session_attrs"])
    return rest.set(host=name, port=int(port or primary.port or 5432))


def parse_url(text: str, name: str, example: str) -> URL:
    """Read the address of a database; the setting's name and an example are for the error.

    Several hosts may stand as libpq has them, host:port,host:port.
    """
    try:
        url = make_url(_with_hosts_in_the_query(text))
    except (ArgumentError, ValueError):
        # The parser's own message may quote the value with its password.
        raise ConfigError(name, "is not a database address", example) from None
    if url.drivername in POSTGRES_SCHEMES:
        if not url.database:
            raise ConfigError(name, "names no database", example)
        return url.set(drivername="postgresql+psycopg")
    if url.drivername in {"sqlite", "sqlite+pysqlite"}:
        if not url.database or url.database == ":memory:":
            raise ConfigError(
                name, "must name a file: a database in memory is lost", f"{name}=sqlite:////tmp/n.sqlite"
            )
        return url
    raise ConfigError(name, "must begin with postgresql:// or sqlite:///", example)


def _with_hosts_in_the_query(text: str) -> str:
    """Turn libpq's list of hosts into the form that SQLAlchemy knows: ?host=a:5432&host=b:5432."""
    several = _SEVERAL_HOSTS.fullmatch(text)
    if several is None:
        return text
    hosts = several["hosts"].split(",")
    if not all(_HOST.fullmatch(host) for host in hosts):
        raise ValueError("a host of several must be a name or an IPv4 address, with or without a port")
    query = "&".join(f"host={host if ':' in host else f'{host}:5432'}" for host in hosts)
    joint = "&" if "?" in several["rest"] else "?"
    return f"{several['scheme']}://{several['user'] or ''}{several['rest']}{joint}{query}"
