"""A release of postgres-ha in a namespace of its own, and what can be seen of it."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "postgres-ha"
SECONDS = 300
READY_SECONDS = 180
SMALL = [
    "resources.requests.memory=128Mi",
    "resources.limits.memory=256Mi",
    "storage.size=1Gi",
]


class FaultError(Exception):
    """The case could not be played, or the database did not come back."""


def run(*command: str, stdin: str = "", seconds: float = SECONDS, check: bool = True) -> str:
    """Run a program; raise FaultError with what it says."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=seconds, check=False)
    if check and done.returncode:
        raise FaultError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def wait_until(
    what: str, look: Callable[[], bool], seconds: float = READY_SECONDS, pause: float = 0.25
) -> None:
    """Look until it is so; raise FaultError when it takes too long. A look that fails is not so."""
    end = time.monotonic() + seconds
    last = ""
    while time.monotonic() < end:
        try:
            if look():
                return
            last = ""
        except (FaultError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
            last = f" ({error})"
        time.sleep(pause)
    raise FaultError(f"not within {seconds:g} s: {what}{last}")


@dataclass(frozen=True)
class Member:
    """A member as Patroni lists it."""

    name: str
    role: str
    state: str
    lag: int
    timeline: int
    pending_restart: bool


class Database:
    """One release."""

    def __init__(self, context: str, namespace: str, image: str, release: str = "db") -> None:
        """Name it; `image` is repository@digest."""
        self.context, self.namespace, self.image, self.release = context, namespace, image, release
        self.settings: list[str] = []
        self.size = 0

    def kubectl(self, *words: str, stdin: str = "", seconds: float = SECONDS, check: bool = True) -> str:
        """Run kubectl in the namespace."""
        return run(
            "kubectl", "--context", self.context, "-n", self.namespace, *words,
            stdin=stdin, seconds=seconds, check=check,
        )  # fmt: skip

    def helm(self, *words: str) -> str:
        """Run helm in the namespace."""
        return run("helm", *words, "--kube-context", self.context, "--namespace", self.namespace)

    def apply(
        self, verb: str, *settings: str, members: int = 3, chart: Path = CHART, file: Path | None = None
    ) -> str:
        """Install or upgrade with these settings, and no others; a file of values comes first."""
        repository, _, digest = self.image.partition("@")
        values = [f"image.repository={repository}", f"image.digest={digest}", f"members={members}"]
        values += [*SMALL, *settings]
        self.settings, self.size = list(settings), members
        words = [word for value in values for word in ("--set", value)]
        words += ["--values", str(file)] if file else []
        return self.helm(verb, self.release, str(chart), *words, "--timeout", "10m")

    def apply_in_background(self, verb: str, *settings: str) -> None:
        """Begin what `apply` does; `wait_background` ends it."""
        self._background = threading.Thread(target=self.apply, args=(verb, *settings))
        self._background.start()

    def wait_background(self) -> None:
        """Wait for what was begun."""
        self._background.join()

    def pod(self, name: str) -> dict[str, Any]:
        """Return a pod."""
        return dict(json.loads(self.kubectl("get", "pod", name, "-o", "json")))

    def pods(self) -> list[dict[str, Any]]:
        """Return the members' pods."""
        selector = f"cluster-name={self.release}"
        return list(json.loads(self.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"])

    def labelled(self, label: str) -> set[str]:
        """Name the members' pods with a label."""
        selector = f"cluster-name={self.release},{label}"
        words = ("get", "pods", "-l", selector, "-o", "jsonpath={.items[*].metadata.name}")
        return set(self.kubectl(*words).split())

    def starts(self) -> dict[tuple[str, str], int]:
        """Count how often each container of each member was started again."""
        return {
            (pod["metadata"]["name"], item["name"]): item["restartCount"]
            for pod in self.pods()
            for item in pod["status"]["containerStatuses"]
        }

    def members(self, ask: str = "") -> list[Member]:
        """Ask Patroni, on any pod that answers."""
        names = [ask] if ask else [pod["metadata"]["name"] for pod in self.pods()]
        for name in names:
            text = self.kubectl(
                "exec", name, "-c", "postgres", "--", "patronictl", "list", "-f", "json",
                seconds=20, check=False,
            )  # fmt: skip
            if text.startswith("["):
                return [_read_member(item) for item in json.loads(text)]
        raise FaultError("no member answers")

    def primary(self) -> str:
        """Name the pod that leads."""
        leaders = [member.name for member in self.members() if member.role == "Leader"]
        if len(leaders) != 1:
            raise FaultError(f"leaders: {leaders}")
        return leaders[0]

    def replicas(self) -> list[str]:
        """Name the others, the synchronous first."""
        others = [member for member in self.members() if member.role != "Leader"]
        return [member.name for member in sorted(others, key=lambda member: (member.lag, member.name))]

    def is_well(self, size: int = 0) -> bool:
        """Whether every member is there and follows one leader, ready for the next fault."""
        members = self.members()
        pods = self.pods()
        ready = [pod for pod in pods if _is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]
        leaders = [member for member in members if member.role == "Leader" and member.state == "running"]
        followers = [member for member in members if member.state == "streaming"]
        # A replica that the primary does not count on yet cannot take over: that would be another fault.
        if "durability=none" not in self.settings:
            followers = [member for member in followers if member.role == "Quorum Standby"]
        wanted = size or self.size
        if not (len(leaders) == 1 and len(followers) == wanted - 1 == len(members) - 1):
            return False
        same = len({member.timeline for member in members}) == 1
        labels = [pod for pod in pods if pod["metadata"]["labels"].get("role") == "primary"]
        return same and len(ready) == len(pods) == wanted and len(labels) == 1

    def wait_well(self, seconds: float = READY_SECONDS, size: int = 0) -> None:
        """Wait for it."""
        wait_until(f"{size or self.size} members are well", lambda: self.is_well(size), seconds, pause=1)

    def sql(self, query: str, pod: str = "", database: str = "notejam") -> str:
        """Run SQL as the superuser, on the primary if no pod is named."""
        name = pod or self.primary()
        words = ("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", "-")
        return self.kubectl("exec", "-i", name, "-c", "postgres", "--", *words, stdin=query).strip()

    def server_starts(self) -> dict[str, str]:
        """Tell when the server of each member was started."""
        names = [pod["metadata"]["name"] for pod in self.pods()]
        return {name: self.sql("SELECT pg_postmaster_start_time()", name) for name in names}

    def inside(self, pod: str, script: str, container: str = "postgres") -> str:
        """Run a shell script in a container."""
        return self.kubectl("exec", pod, "-c", container, "--", "sh", "-c", script)

    def freeze(self, pod: str, words: str, first: str = "") -> None:
        """Stop the processes of a pod that have the words in their command line, except the first process.

        They stay as they are until the container ends. `first` is a script to run before, in the same shell.
        """
        self.inside(
            pod,
            f"""{first}
                for process in /proc/[1-9]*; do
                    number=${{process#/proc/}}
                    case "$number $(tr '\\0' ' ' < "$process/cmdline")" in
                        "1 "*|"$$ "*) ;;
                        *"{words}"*) kill -STOP "$number" ;;
                    esac
                done 2> /dev/null""",
        )

    def secret(self, name: str) -> dict[str, str]:
        """Read a Secret."""
        data = json.loads(self.kubectl("get", "secret", name, "-o", "json"))["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def make_secret(self, name: str, data: Mapping[str, str]) -> None:
        """Make a Secret, or give it these keys."""
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": dict(data)}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(secret))

    def patch_secret(self, name: str, data: Mapping[str, str]) -> None:
        """Change keys of a Secret as people do, who own none of it."""
        patch = json.dumps({"stringData": dict(data)})
        self.kubectl("patch", "secret", name, "--type=merge", "--patch-file=/dev/stdin", stdin=patch)

    def lead(self, member: str) -> None:
        """Make a member the primary."""
        if self.primary() != member:
            self.pgha("switchover", member)
            self.wait_well()

    def pgha(self, *words: str, pod: str = "") -> str:
        """Run a helper command on a member."""
        name = pod or f"{self.release}-0"
        return self.kubectl("exec", name, "-c", "postgres", "--", "pgha", *words)


def _read_member(item: dict[str, Any]) -> Member:
    lag = item.get("Lag in MB", 0)
    return Member(
        name=item["Member"],
        role=item["Role"],
        # A pod that waits for a place is listed, and says nothing of itself.
        state=item.get("State", ""),
        lag=lag if isinstance(lag, int) else 10**6,
        timeline=int(item.get("TL") or 0),
        pending_restart=bool(item.get("Pending restart")),
    )


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = {item["type"]: item["status"] for item in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True"


def names_of(release: str, size: int) -> Sequence[str]:
    """Name the members by their own addresses."""
    return [f"{release}-{number}.{release}-members" for number in range(size)]
