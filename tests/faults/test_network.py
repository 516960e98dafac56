"""Whom the network lets in to a member, and to which port."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator

import pytest

from tests.faults.database import Database, wait_until
from tests.faults.trial import make_pod
from tests.namespaces import have_namespace

POSTGRES, PATRONI, METRICS = 5432, 8008, 9187
ROLE = "notes.example.com/role"
# As --set has it, where a dot begins the next key.
WITH_ROLE = f"podSelector.matchLabels.{ROLE.replace('.', chr(92) + '.')}"
# A packet that is dropped gets no answer: all ports at once, and a while for each.
KNOCK = """
import concurrent.futures, socket, sys
def knock(port):
    try:
        socket.create_connection((sys.argv[1], port), 3).close()
    except OSError:
        return None
    return port
with concurrent.futures.ThreadPoolExecutor() as pool:
    print(*filter(None, pool.map(knock, map(int, sys.argv[2:]))))
"""


@pytest.fixture
def outside(context: str) -> Iterator[str]:
    """Have another namespace."""
    with have_namespace(context, f"faults-outside-{secrets.token_hex(3)}") as name:
        yield name


def start(name: str, database: Database, namespace: str) -> Callable[[], set[int]]:
    """Run a pod, with a role of its own name; return what tells the ports of the member that it reaches."""
    pod = make_pod(name, database)
    pod["metadata"]["labels"] = {ROLE: name}
    container = pod["spec"]["containers"][0]
    del container["env"], container["volumeMounts"], pod["spec"]["volumes"]
    there = Database(database.context, namespace, database.image)
    there.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    there.kubectl("wait", "pod", name, "--for=condition=Ready", "--timeout=120s")

    def reach() -> set[int]:
        address = database.pod(f"{database.release}-0")["status"]["podIP"]
        ports = (str(port) for port in (POSTGRES, PATRONI, METRICS))
        said = there.kubectl("exec", name, "--", "python3", "-c", KNOCK, address, *ports)
        return {int(word) for word in said.split()}

    return reach


def test_who_reaches_which_port(other: Database, outside: str) -> None:
    """The same pods, each time: what one may not reach, another does at the same moment."""
    metrics = ("metrics.enabled=true",)
    other.apply("install", *metrics, members=1)
    other.wait_well()
    app, neighbour = (start(name, other, other.namespace) for name in ("app", "neighbour"))
    prometheus, stranger = (start(name, other, outside) for name in ("prometheus", "stranger"))
    everybody = [app, neighbour, prometheus, stranger]

    def become(*wanted: set[int]) -> None:
        wait_until(f"ports {wanted}", lambda: [reach() for reach in everybody] == list(wanted), 60)

    become({POSTGRES}, {POSTGRES}, set(), set())

    named = (
        f"networkPolicy.clients[0].{WITH_ROLE}=app",
        f"networkPolicy.monitoring[0].{WITH_ROLE}=prometheus",
        f"networkPolicy.monitoring[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name={outside}",
    )
    other.apply("upgrade", *metrics, *named, members=1)
    become({POSTGRES}, set(), {PATRONI, METRICS}, set())

    # Without a policy everybody comes as far as the password: it was the policy that kept them out.
    other.apply("upgrade", *metrics, "networkPolicy.enabled=false", members=1)
    become(*[{POSTGRES, PATRONI, METRICS}] * len(everybody))
