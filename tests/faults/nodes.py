"""Faults of nodes, made through the container engine that runs them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.database import Database, run, wait_until

ENGINE = os.environ.get("NOTEJAM_ENGINE") or "podman"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
# The kubelet does not look here.
PARKED = "/etc/kubernetes/kube-apiserver.yaml"
ROOT = Path(__file__).parents[2]
if ENGINE == "podman":
    os.environ.setdefault("CONTAINERS_CONF", str(ROOT / "local" / "node" / "containers.conf"))


class Nodes:
    """The nodes of the local cluster."""

    def __init__(self, database: Database) -> None:
        """Take the database whose pods are on them."""
        self.database = database

    def of(self, pod: str) -> str:
        """Name the node of a pod."""
        return str(self.database.pod(pod)["spec"]["nodeName"])

    def zone(self, node: str) -> str:
        """Name the zone of a node; empty where it has none."""
        words = ("get", "node", node, "-o", r"jsonpath={.metadata.labels.topology\.kubernetes\.io/zone}")
        return self.database.kubectl(*words)

    def control_plane(self) -> str:
        """Name the control plane."""
        return (
            self.database.kubectl("get", "nodes", "-l", CONTROL_PLANE, "-o", "name").strip().partition("/")[2]
        )

    def inside(self, node: str, script: str) -> str:
        """Run a shell script on a node."""
        return run(ENGINE, "exec", node, "sh", "-c", script)

    def kill_container(self, pod: str, container: str = "postgres") -> None:
        """Kill a container with everything in it."""
        statuses = self.database.pod(pod)["status"]["containerStatuses"]
        (status,) = [item for item in statuses if item["name"] == container]
        identity = status["containerID"].partition("://")[2]
        self.inside(self.of(pod), f"ctr --namespace k8s.io task kill --signal SIGKILL {identity}")

    def stop(self, node: str) -> None:
        """Take a node away as a loss of power does."""
        run(ENGINE, "kill", node)

    def start(self, node: str) -> None:
        """Bring a node back, and wait until Kubernetes counts on it."""
        run(ENGINE, "start", node)
        self.wait_ready(node)

    def freeze(self, node: str) -> None:
        """Stop the time of a node: nothing on it runs, and nobody is told."""
        run(ENGINE, "pause", node)

    def thaw(self, node: str) -> None:
        """Let it go on where it was."""
        run(ENGINE, "unpause", node)
        self.wait_ready(node)

    def wait_ready(self, node: str) -> None:
        """Wait until a node is Ready."""

        def look() -> bool:
            found = json.loads(self.database.kubectl("get", "node", node, "-o", "json"))
            conditions = {item["type"]: item["status"] for item in found["status"]["conditions"]}
            return conditions["Ready"] == "True"

        wait_until(f"{node} is Ready", look, 180, pause=1)

    @contextmanager
    def cut_off(self, pod: str, *, replication_only: bool = False) -> Iterator[None]:
        """Cut a member off from the other members and the API server; clients still reach it.

        Or hold up replication alone: then Patroni still talks to the others.
        """
        address = self.database.pod(pod)["status"]["podIP"]
        others = [item["status"]["podIP"] for item in self.database.pods() if item["metadata"]["name"] != pod]
        words = self.inside(self.control_plane(), "hostname -i").split()
        api = next(word for word in words if "." in word)
        node = self.of(pod)
        if replication_only:
            rules = [f"FORWARD -s {address} -d {other} -p tcp --sport 5432" for other in others]
        else:
            rules = [f"FORWARD -s {address} -d {api} -p tcp --dport 6443"]
            rules += [f"FORWARD -s {address} -d {other}" for other in others]
            rules += [f"FORWARD -s {other} -d {address}" for other in others]
        self.inside(node, " && ".join(f"iptables -I {rule} -j DROP" for rule in rules))
        try:
            yield
        finally:
            self.inside(node, "; ".join(f"iptables -D {rule} -j DROP" for rule in rules))

    @contextmanager
    def closed(self, node: str) -> Iterator[None]:
        """Let no new pod onto a node."""
        self.database.kubectl("cordon", node)
        try:
            yield
        finally:
            self.database.kubectl("uncordon", node)

    @contextmanager
    def without_api_server(self) -> Iterator[None]:
        """Stop the API server, as long as this lasts."""
        node = self.control_plane()
        self.inside(node, f"mv {MANIFEST} {PARKED}")
        try:
            gone = "while crictl ps --name kube-apiserver -q | grep -q .; do sleep 0.5; done"
            self.inside(node, gone)
            yield
        finally:
            self.inside(node, f"mv {PARKED} {MANIFEST}")
            wait_until(
                "the API server answers",
                lambda: "ok" in self.database.kubectl("get", "--raw", "/readyz", seconds=10),
                120,
                pause=1,
            )
            back = datetime.now(UTC)
            # It started again, too, and until it leads, no Service follows a pod.
            wait_until("the controller manager leads", lambda: self._led_since(back), 120, pause=1)

    def _led_since(self, moment: datetime) -> bool:
        words = ("lease", "kube-controller-manager", "-o", "jsonpath={.spec.renewTime}")
        text = self.database.kubectl("-n", "kube-system", "get", *words, seconds=10)
        return datetime.fromisoformat(text) > moment
