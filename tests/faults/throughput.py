"""Measures pgbench beside a plain PostgreSQL on the same node, and what an idle member takes.

python -m tests.faults.throughput [--rounds 20] [--seconds 4]

All of them are measured in turn in each round, so that a busy moment hits all alike; many short rounds,
since a disk that others use too changes its pace by a third from one moment to the next. pgbench runs in
the server's own container, over its socket. JSON: .local/throughput.json.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from tests.faults.benchmark import count, have_database
from tests.faults.database import ROOT, Database, FaultError, wait_until

OUT = ROOT / ".local" / "throughput.json"
NAMESPACE = "faults-throughput"
SCALE = 10
CLIENTS = 4
# One fill writes about 130 MiB to the log; a member keeps 512 MiB of it.
FILLS, FILLS_PER_CHECKPOINT = 6, 3
READY_SEGMENTS = 8
_READY = "SELECT count(*) FROM pg_ls_waldir() WHERE name > pg_walfile_name(pg_current_wal_lsn())"
# The first minute of a release is still busy with its copies.
SETTLE_SECONDS = 60
IDLE_SECONDS = 60
# The same memory and log for all; the rest of the plain one is what `initdb` makes.
SAME = ("shared_buffers=128MB", "max_wal_size=1GB", "jit=off", "max_connections=100")
SETTINGS = (
    "resources.requests.cpu=100m", "resources.limits.memory=512Mi", "storage.size=4Gi",
    *(f"postgresql.parameters.{setting}" for setting in SAME[:2]),
)  # fmt: skip
PLAIN = "plain"
# Another of the same: how far apart two equal servers are measured here.
CONTROL = "plain-too"
# A plain server with two replicas, as many as the release has: what replication itself costs on this machine.
REPLICATED = "replicated"
STANDBYS = ("standby-1", "standby-2")
_INIT = "initdb --auth=trust --username=postgres --locale=C.UTF-8 -D /pgdata/plain > /dev/null"
_OPEN = "echo 'host replication postgres all trust' >> /pgdata/plain/pg_hba.conf"
_RUN = "exec postgres -D /pgdata/plain -c unix_socket_directories=/tmp " + " ".join(
    f"-c {one}" for one in SAME
)
_STARTS = {
    PLAIN: f"{_INIT} && {_RUN}",
    CONTROL: f"{_INIT} && {_RUN}",
    REPLICATED: f"{_INIT} && {_OPEN} && {_RUN} -c 'listen_addresses=*'",
}


def make_plain(name: str, image: str, node: str, start: str) -> list[dict[str, object]]:
    """Return a pod with nothing but PostgreSQL, on a volume of the same kind."""
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "4Gi"}}},
    }
    container = {
        "name": "postgres",
        "image": image,
        "command": ["sh", "-c", start],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
        "volumeMounts": [{"name": "data", "mountPath": "/pgdata"}, {"name": "shm", "mountPath": "/dev/shm"}],  # noqa: S108
    }
    spec = {
        # Not nodeName: the volume is made where the scheduler decides.
        "nodeSelector": {"kubernetes.io/hostname": node},
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
            {"name": "data", "persistentVolumeClaim": {"claimName": name}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        ],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    return [claim, pod]


class Throughput:
    """The plain servers, and a release beside them."""

    def __init__(self, database: Database, seconds: int) -> None:
        self.database, self.seconds = database, seconds

    def pgbench(self, pod: str, *words: str) -> float:
        """Run pgbench in a pod; return transactions per second, 0 for the preparation."""
        found = re.search(r"tps = ([\d.]+)", self.inside(pod, "pgbench", *words, "postgres"))
        return float(found[1]) if found else 0.0

    def inside(self, pod: str, program: str, *words: str) -> str:
        """Run a client in the server's own container, over its socket."""
        folder = "/tmp" if pod in _STARTS else "/run/postgresql"  # noqa: S108 - in the pod
        command = (program, "-h", folder, "-U", "postgres", *words)
        return self.database.kubectl("exec", pod, "-c", "postgres", "--", *command)

    def fill(self, pod: str) -> None:
        """Make the tables anew, so that those of all carry as little dead weight, and write them out.

        And again until segments of the log are used again, as in any server that is some hours old: a new one
        is filled with zeros first, which is one more write of everything. Who keeps more of the log comes
        there later, and would look slow until then.
        """
        for _ in range(FILLS):
            for _ in range(FILLS_PER_CHECKPOINT):
                self.pgbench(pod, "-i", "-q", "-s", str(SCALE))
            self.inside(pod, "psql", "-qc", "CHECKPOINT")
            if int(self.inside(pod, "psql", "-Atc", _READY)) >= READY_SEGMENTS:
                return
        raise FaultError(f"{pod} does not use segments of its log again")

    def once(self, pod: str) -> float:
        """Measure one pod once."""
        return self.pgbench(pod, "-n", "-c", str(CLIENTS), "-j", "1", "-T", str(self.seconds))

    def start(self, name: str, node: str, start: str) -> None:
        """Run a plain server."""
        kubectl = self.database.kubectl
        for made in make_plain(name, self.database.image, node, start):
            kubectl("apply", "-f", "-", stdin=json.dumps(made))
        kubectl("wait", "pod", name, "--for=condition=Ready", "--timeout=120s")

    def start_plain(self, name: str, node: str) -> None:
        """Run one that writes."""
        self.start(name, node, _STARTS[name])
        wait_until(
            f"{name} answers", lambda: self.inside(name, "psql", "-Atc", "SELECT 1").strip() == "1", 60
        )

    def start_replicated(self, node: str, others: Sequence[str]) -> None:
        """Run a plain server with a replica on each of the other nodes."""
        self.start_plain(REPLICATED, node)
        address = self.database.pod(REPLICATED)["status"]["podIP"]
        # At once: a checkpoint that takes its time holds the copy back for minutes.
        copy = f"pg_basebackup -h {address} -U postgres -c fast -X stream -R -D /pgdata/plain && {_RUN}"
        for name, other in zip(STANDBYS, others, strict=True):
            self.start(name, other, copy)
        # A copy under way counts there too, in another state.
        streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        wait_until(
            "both replicas stream",
            lambda: self.inside(REPLICATED, "psql", "-Atc", streaming).strip() == "2",
            120,
        )

    def compare(self, what: str, rounds: int, others: Sequence[str]) -> dict[str, object]:
        """Measure the primary and the plain ones in turn."""
        primary = self.database.primary()
        pods = [primary, *others]
        for pod in pods:
            self.fill(pod)
        found: dict[str, list[float]] = {pod: [] for pod in pods}
        for number in range(rounds):
            turn = number % len(pods)
            for pod in pods[turn:] + pods[:turn]:
                found[pod].append(self.once(pod))
        result: dict[str, object] = {"what": what, "tps": round(statistics.median(found[primary]))}
        sys.stdout.write(f"{what:<40} {result['tps']:>6} tps\n")
        for pod in others:
            ratios = [one / other for one, other in zip(found[primary], found[pod], strict=True)]
            tps, ratio = round(statistics.median(found[pod])), round(statistics.median(ratios), 3)
            result[pod] = {"tps": tps, "ratio": ratio, "ratios": [round(one, 3) for one in ratios]}
            sys.stdout.write(f"  beside {pod:<31} {tps:>6} tps  ratio {ratio}\n")
        return result

    def idle(self) -> list[dict[str, object]]:
        """Measure memory (MiB, without what the kernel may drop) and processor (thousandths of a core)."""
        self.database.wait_well()
        time.sleep(SETTLE_SECONDS)
        before = self._usage()
        time.sleep(IDLE_SECONDS)  # the length of the measurement
        results: list[dict[str, object]] = []
        for (pod, container), (memory, used, at) in sorted(self._usage().items()):
            _, used_before, at_before = before[pod, container]
            cpu = (used - used_before) / (at - at_before).total_seconds() * 1000
            found = {"pod": pod, "container": container, "mib": round(memory), "millicores": round(cpu, 1)}
            line = "idle {pod}/{container:<10} {mib:>4} MiB  {millicores:>6} millicores\n"
            sys.stdout.write(line.format(**found))
            results.append(found)
        return results

    def _usage(self) -> dict[tuple[str, str], tuple[float, float, datetime]]:
        """Ask the kubelets for memory in MiB and processor seconds so far, and when that was."""
        nodes = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in self.database.pods()}
        found = {}
        for node in set(nodes.values()):
            text = self.database.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary")
            for pod in json.loads(text)["pods"]:
                name = pod["podRef"]["name"]
                if pod["podRef"]["namespace"] == self.database.namespace and name in nodes:
                    for container in pod["containers"]:
                        memory = container["memory"]["workingSetBytes"] / 2**20
                        used = container["cpu"]["usageCoreNanoSeconds"] / 1e9
                        at = datetime.fromisoformat(container["cpu"]["time"])
                        found[name, container["name"]] = (memory, used, at)
        return found


def measure(database: Database, rounds: int, seconds: int) -> Mapping[str, object]:
    """Measure everything."""
    found = Throughput(database, seconds)
    idle: list[dict[str, object]] = []
    nodes: list[str] = []
    results = []
    for what, durability in (
        ("three members, quorum (the default)", "durability=preferred"),
        ("three members, asynchronous", "durability=none"),
    ):
        database.apply("upgrade" if results else "install", *SETTINGS, durability)
        database.wait_well()
        quorum = durability != "durability=none"
        wait_until("commits wait as they should", _waits(database, wanted=quorum), 60)
        database.lead("db-0")
        if not results:
            # Before anything has been written: afterwards there is vacuuming and checkpointing.
            idle = found.idle()
            nodes = [str(database.pod(f"db-{number}")["spec"]["nodeName"]) for number in range(database.size)]
            found.start_plain(PLAIN, nodes[0])
            found.start_replicated(nodes[0], nodes[1:])
        results.append(found.compare(what, rounds, [PLAIN, REPLICATED]))
    # Not the same release with fewer members: for half an hour the slots of those taken away keep the log.
    database.helm("uninstall", database.release, "--wait")
    alone = Database(database.context, database.namespace, database.image, "one")
    alone.apply("install", *SETTINGS, f"nodeSelector.kubernetes\\.io/hostname={nodes[0]}", members=1)
    alone.wait_well()
    found = Throughput(alone, seconds)
    found.start_plain(CONTROL, nodes[0])
    results.append(found.compare("one member", rounds, [PLAIN, CONTROL]))
    return {"pgbench": results, "idle": idle}


def _waits(database: Database, *, wanted: bool) -> Callable[[], bool]:
    return lambda: (database.sql("SHOW synchronous_standby_names") != "") is wanted


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="Measure pgbench beside a plain PostgreSQL.")
    parser.add_argument("--rounds", type=count, default=20, help="of each comparison (20)")
    parser.add_argument("--seconds", type=count, default=4, help="of pgbench in each round (4)")
    arguments = parser.parse_args()
    with have_database(NAMESPACE) as database:
        results = measure(database, arguments.rounds, arguments.seconds)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"JSON: {OUT}\n")


if __name__ == "__main__":
    main()
