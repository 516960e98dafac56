"""The kind cluster: looked at, made, woken, removed."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.engine import is_alive
from local.errors import CommandError, LocalError
from local.keys import digest_text
from local.kindconfig import CERTS_FOLDER, hosts_toml, kind_config
from local.machine import CGROUP_V2_MARK
from local.node import METRICS_SERVER
from local.settings import NODE_COUNT, NODE_PORTS
from local.state import ClusterFacts, count_ready, list_unsettled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from local.engine import Engine
    from local.settings import Settings
    from local.shell import Shell

ADDONS = Path(__file__).parent / "addons"
PUBLISHED_METRICS_SERVER = (
    "registry.k8s.io/metrics-server/metrics-server:v0.8.1"
    "@sha256:b2d2efaf5ac3b366ed0f839d2412a2c4279d4fc2a2a733f12c52133faed36c41"
)
_ADDONS = "notejam-addons"
KIND_LABEL = "io.x-k8s.kind.cluster"
_HALF_MADE = "cluster-half-made"
_WAKE_SECONDS = 75
_SETTLE_SECONDS = 180


class Cluster:
    """One cluster, by the name in the settings."""

    def __init__(self, settings: Settings, engine: Engine, shell: Shell, say: Callable[[str], None]) -> None:
        """Take what it works with."""
        self.settings = settings
        self.engine = engine
        self.shell = shell
        self.say = say

    def observe(self) -> ClusterFacts:
        """Look at the containers and at the API; short timeouts, since a dead one never answers."""
        found = self.engine.containers(f"{KIND_LABEL}={self.settings.cluster}")
        alive = sum(is_alive(container) for container in found)
        half_made = (self.settings.state / _HALF_MADE).exists()
        if not found or alive < len(found) or half_made:
            return ClusterFacts(len(found), alive, half_made)
        ready = self._ready_nodes()
        return ClusterFacts(len(found), alive, answers=ready >= 0, ready=max(ready, 0))

    def kubectl(self, *words: str | Path, patience: int = 30, stdin: str = "") -> str:
        """Run kubectl against this cluster, whatever the current context is."""
        return self.shell.run(
            "kubectl",
            "--context",
            self.settings.context,
            f"--request-timeout={patience}s",
            *words,
            stdin=stdin,
            timeout=patience + 10,
        )

    def create(self, image: str, *, built: bool) -> None:
        """Make the cluster; a mark tells the next run when this one is stopped halfway."""
        self.check_ports()
        self.settings.state.mkdir(parents=True, exist_ok=True)
        config = self.settings.state / "kind.yaml"
        config.write_text(
            kind_config(self.settings, built=built, cgroup_v1=not CGROUP_V2_MARK.exists()), encoding="utf-8"
        )
        mark = self.settings.state / _HALF_MADE
        mark.touch()
        self._kind(
            "create", "cluster", "--name", self.settings.cluster, "--config", str(config), "--image", image
        )
        mark.unlink()

    def delete(self) -> None:
        """Remove the cluster and its entry in the kubeconfig; what kind cannot remove goes by force."""
        try:
            self._kind("delete", "cluster", "--name", self.settings.cluster)
        except CommandError as error:
            self.say(f"kind could not remove the cluster ({error}); removing its containers")
        self.engine.remove(*self.node_names())
        (self.settings.state / _HALF_MADE).unlink(missing_ok=True)

    def start(self) -> list[str]:
        """Start the nodes that do not run, after making the engine forget what a reboot made untrue."""
        started = []
        for container in self.engine.containers(f"{KIND_LABEL}={self.settings.cluster}"):
            if not is_alive(container):
                name = container["Name"].lstrip("/")
                if container.get("State", {}).get("Running"):
                    self.engine.works("kill", name)
                self.engine.run("start", name, timeout=60)
                started.append(name)
        return started

    def wait_settled(
        self, nodes: Sequence[str], since: datetime, seconds: float = _SETTLE_SECONDS
    ) -> list[str]:
        """Wait until the pods of woken nodes run anew and are ready; return those that are not."""
        end = time.monotonic() + seconds
        while True:
            try:
                pods = json.loads(self.kubectl("get", "pods", "--all-namespaces", "-o", "json"))
                left = list_unsettled(pods, nodes, since)
            except (CommandError, ValueError):
                left = ["the API server does not answer"]
            if not left or time.monotonic() > end:
                return left
            time.sleep(1)

    def wait_ready(self, seconds: float = _WAKE_SECONDS) -> bool:
        """Wait until every node is Ready; False when that takes too long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._ready_nodes() == NODE_COUNT:
                return True
            time.sleep(1)
        return False

    def _ready_nodes(self) -> int:
        """Count the Ready nodes; -1 where the API server does not answer."""
        try:
            return count_ready(json.loads(self.kubectl("get", "nodes", "-o", "json", patience=5)))
        except (CommandError, ValueError):
            return -1

    def is_outdated(self, tag: Callable[[], str]) -> bool:
        """Whether the nodes were made from another image of ours than the one that would be made now."""
        found = self.engine.containers(f"{KIND_LABEL}={self.settings.cluster}")[:1]
        name = str(found[0].get("ImageName") or found[0].get("Config", {}).get("Image", "")) if found else ""
        return name.startswith("localhost/notejam/node:") and name != tag()

    def export_kubeconfig(self) -> None:
        """Write the context to the user's kubeconfig, where kind writes it."""
        self._kind("export", "kubeconfig", "--name", self.settings.cluster)

    def has_context(self) -> bool:
        """Whether the kubeconfig names the cluster."""
        return self.shell.works("kubectl", "config", "get-contexts", self.settings.context)

    def node_names(self) -> list[str]:
        """Names of the nodes' containers."""
        return self.engine.names(f"{KIND_LABEL}={self.settings.cluster}")

    def registry_is_known(self, address: str) -> bool:
        """Whether every node knows where the registry is."""
        path = f"{CERTS_FOLDER}/{self.settings.registry_host}/hosts.toml"
        try:
            texts = {self.engine.run("exec", name, "cat", path, timeout=20) for name in self.node_names()}
        except CommandError:
            return False
        return texts == {hosts_toml(address)}

    def introduce_registry(self, address: str) -> None:
        """Tell every node where the registry is."""
        folder = f"{CERTS_FOLDER}/{self.settings.registry_host}"
        script = f"mkdir -p '{folder}' && cat > '{folder}/hosts.toml'"
        for name in self.node_names():
            self.engine.run("exec", "-i", name, "sh", "-c", script, stdin=hosts_toml(address), timeout=30)

    def addons_ready(self) -> bool:
        """Whether the add-ons are applied as they are written now, and run."""
        try:
            key = self.kubectl("-n", "kube-system", "get", "configmap", _ADDONS, "-o", "jsonpath={.data.key}")
            items = json.loads(
                self.kubectl("-n", "kube-system", "get", "daemonset,deployment", "-o", "json")
            )["items"]
        except (CommandError, ValueError):
            return False
        return key == digest_text(self._addons()) and all(is_rolled_out(item) for item in items)

    def apply_addons(self) -> None:
        """Apply what a bare cluster lacks, and wait for it."""
        text = self._addons()
        mark: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": _ADDONS, "namespace": "kube-system"},
        }
        mark["data"] = {"key": digest_text(text)}
        words = ("apply", "--server-side", "--force-conflicts", "-f", "-")
        self.kubectl(*words, stdin=f"{text}---\n{json.dumps(mark)}\n", patience=60)
        for name in self.kubectl("-n", "kube-system", "get", "daemonset,deployment", "-o", "name").split():
            self._rolled_out(name)

    def _addons(self) -> str:
        """Text of the add-ons: a cluster of built nodes needs its own images and a policy daemon."""
        built = "daemonset.apps/podnet" in self.kubectl("-n", "kube-system", "get", "daemonset", "-o", "name")
        text = (ADDONS / "metrics-server.yaml").read_text(encoding="utf-8")
        text = text.replace("${METRICS_SERVER_IMAGE}", METRICS_SERVER if built else PUBLISHED_METRICS_SERVER)
        if built:
            text += "---\n" + (ADDONS / "network-policies.yaml").read_text(encoding="utf-8")
        return text

    def fail_not_ready(self) -> None:
        """Raise the error for nodes that do not become Ready."""
        raise LocalError(
            "the cluster was made, but its nodes do not become Ready",
            f"look at them: kubectl --context {self.settings.context} get nodes,pods -A",
        )

    def check_ports(self) -> None:
        """Stop where a port of this machine is taken, before anything is made."""
        for port in (self.settings.host_port(port) for port in NODE_PORTS):
            check_port_free(port, "the cluster's services", "NOTEJAM_PORT_BASE=31080")

    def _rolled_out(self, what: str) -> None:
        words = ("-n", "kube-system", "rollout", "status", what, "--timeout=150s")
        self.shell.run("kubectl", "--context", self.settings.context, *words, timeout=170)

    def _kind(self, *words: str) -> str:
        return self.shell.run(
            "kind", *words, env={"KIND_EXPERIMENTAL_PROVIDER": self.engine.name}, timeout=600
        )


def is_rolled_out(item: dict[str, Any]) -> bool:
    """Whether a Deployment or DaemonSet has all the pods it wants."""
    status = item.get("status", {})
    if item["kind"] == "DaemonSet":
        return bool(status.get("numberReady") == status.get("desiredNumberScheduled"))
    return bool(status.get("readyReplicas", 0) == item["spec"]["replicas"])


def check_port_free(port: int, purpose: str, other: str) -> None:
    """Stop with a clear message where something listens on a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise LocalError(
                f"port {port} of 127.0.0.1, which {purpose} need, is taken ({error.strerror})",
                f"see who has it: ss -ltnp 'sport = :{port}' - stop that, or use others: {other} make up",
            ) from None
