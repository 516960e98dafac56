"""Measures pgbench beside a plain PostgreSQL on the same node, and what an idle member takes.

python -m tests.faults.throughput [--rounds 5] [--seconds 10]

All of them are measured in turn in each round, so that a busy moment hits all alike. pgbench runs in the
server's own container, over its socket. JSON: .local/throughput.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Mapping

from tests.faults.bench import image_or_exit
from tests.faults.database import ROOT, Database, wait_until
from tests.namespaces import have_namespace

OUT = ROOT / ".local" / "throughput.json"
NAMESPACE = "faults-throughput"
SCALE = 10
CLIENTS = 4
IDLE_SECONDS = 60
# The same memory and log for all; the rest of the plain one is what `initdb` makes.
SAME = ("shared_buffers=128MB", "max_wal_size=1GB", "jit=off", "max_connections=100")
SETTINGS = (
    "resources.limits.memory=512Mi", "storage.size=4Gi",
    *(f"postgresql.parameters.{setting}" for setting in SAME[:2]),
)  # fmt: skip
PLAIN = "plain"
USAGE = "cd /sys/fs/cgroup; cat memory.current; grep inactive_file memory.stat; grep usage_usec cpu.stat"
_START = (
    "initdb --auth=trust --username=postgres --locale=C.UTF-8 -D /pgdata/plain > /dev/null && "
    "exec postgres -D /pgdata/plain -c unix_socket_directories=/tmp " + " ".join(f"-c {one}" for one in SAME)
)


def make_plain(image: str, node: str) -> list[dict[str, object]]:
    """Return a pod with nothing but PostgreSQL, on a volume of the same kind."""
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": PLAIN},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "4Gi"}}},
    }
    container = {
        "name": "postgres",
        "image": image,
        "command": ["sh", "-c", _START],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
        "volumeMounts": [{"name": "data", "mountPath": "/pgdata"}, {"name": "shm", "mountPath": "/dev/shm"}],  # noqa: S108
    }
    spec = {
        "nodeName": node,
        "containers": [container],
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 999,
            "fsGroup": 999,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": PLAIN}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        ],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": PLAIN}, "spec": spec}
    return [claim, pod]


class Throughput:
    """The plain server, and a release beside it."""

    def __init__(self, database: Database, seconds: int) -> None:
        self.database, self.seconds = database, seconds

    def pgbench(self, pod: str, *words: str) -> float:
        """Run pgbench in a pod; return transactions per second, 0 for the preparation."""
        where = ("-h", "/tmp") if pod == PLAIN else ("-h", "/run/postgresql")  # noqa: S108 - in the pod
        command = ("pgbench", *where, "-U", "postgres", *words, "postgres")
        said = self.database.kubectl("exec", pod, "-c", "postgres", "--", *command)
        found = re.search(r"tps = ([\d.]+)", said)
        return float(found[1]) if found else 0.0

    def once(self, pod: str) -> float:
        """Measure one pod once."""
        return self.pgbench(pod, "-n", "-c", str(CLIENTS), "-j", "1", "-T", str(self.seconds))

    def compare(self, what: str, rounds: int) -> dict[str, object]:
        """Measure the primary and the plain one in turn."""
        primary = self.database.primary()
        self.pgbench(primary, "-i", "-q", "-s", str(SCALE))
        ours, plain = [], []
        for number in range(rounds):
            order: list[tuple[str, list[float]]] = [(PLAIN, plain), (primary, ours)]
            for pod, found in order if number % 2 else reversed(order):
                found.append(self.once(pod))
        ratios = [one / other for one, other in zip(ours, plain, strict=True)]
        result = {
            "what": what,
            "tps": round(statistics.median(ours)),
            "plain_tps": round(statistics.median(plain)),
            "ratio": round(statistics.median(ratios), 3),
            "ratios": [round(ratio, 3) for ratio in ratios],
        }
        line = "{what:<40} {tps:>6} tps  plain {plain_tps:>6} tps  ratio {ratio}\n"
        sys.stdout.write(line.format(**result))
        return result

    def idle(self) -> list[dict[str, object]]:
        """Measure memory (MiB, without what the kernel may drop) and processor (thousandths of a core)."""
        self.database.wait_well()
        pods = [pod["metadata"]["name"] for pod in self.database.pods()]
        before = {pod: self._usage(pod) for pod in pods}
        begun = time.monotonic()
        time.sleep(IDLE_SECONDS)  # the length of the measurement
        results: list[dict[str, object]] = []
        for pod in pods:
            for container, (memory, used) in self._usage(pod).items():
                passed = time.monotonic() - begun
                cpu = (used - before[pod][container][1]) / 1000 / passed
                results.append(
                    {"pod": pod, "container": container, "mib": round(memory), "millicores": round(cpu, 1)}
                )
        for result in results:
            sys.stdout.write(
                "idle {pod}/{container:<10} {mib:>4} MiB  {millicores:>6} millicores\n".format(**result)
            )
        return results

    def _usage(self, pod: str) -> dict[str, tuple[float, float]]:
        found = {}
        for container in ("postgres", "keeper"):
            lines = self.database.inside(pod, USAGE, container).split()
            memory = (int(lines[0]) - int(lines[2])) / 2**20
            found[container] = (memory, float(lines[4]))
        return found


def measure(database: Database, rounds: int, seconds: int) -> Mapping[str, object]:
    """Measure everything."""
    found = Throughput(database, seconds)
    steps: list[tuple[str, int, str]] = [
        ("one member", 1, "durability=none"),
        ("three members, asynchronous", 3, "durability=none"),
        ("three members, quorum (the default)", 3, "durability=preferred"),
    ]
    results = []
    for number, (what, members, durability) in enumerate(steps):
        database.apply("upgrade" if number else "install", *SETTINGS, durability, members=members)
        database.wait_well()
        quorum = durability != "durability=none"
        wait_until("commits wait as they should", _waits(database, wanted=quorum), 60)
        if number == 0:
            node = str(database.pod(database.primary())["spec"]["nodeName"])
            for made in make_plain(database.image, node):
                database.kubectl("apply", "-f", "-", stdin=json.dumps(made))
            database.kubectl("wait", "pod", PLAIN, "--for=condition=Ready", "--timeout=120s")
            wait_until(
                "the plain one answers", lambda: found.pgbench(PLAIN, "-i", "-q", "-s", str(SCALE)) == 0.0, 60
            )
        if database.pod(database.primary())["spec"]["nodeName"] != node:
            database.pgha("switchover", "db-0")
            database.wait_well()
        results.append(found.compare(what, rounds))
    return {"pgbench": results, "idle": found.idle()}


def _waits(database: Database, *, wanted: bool) -> Callable[[], bool]:
    return lambda: (database.sql("SHOW synchronous_standby_names") != "") is wanted


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="Measure pgbench beside a plain PostgreSQL.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10)
    arguments = parser.parse_args()
    context = os.environ.get("NOTEJAM_CONTEXT", "kind-notejam")
    image = image_or_exit()
    with have_namespace(context, NAMESPACE):
        results = measure(Database(context, NAMESPACE, image), arguments.rounds, arguments.seconds)
    OUT.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"JSON: {OUT}\n")


if __name__ == "__main__":
    main()
