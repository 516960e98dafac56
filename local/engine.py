"""The container engine: Docker where it works, podman otherwise. Both speak nearly the same commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.errors import CommandError, LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.shell import Shell

CONTAINERS_CONF = Path(__file__).parent / "node" / "containers.conf"
_TRIAL_SECONDS = 15
_PULL_SECONDS = 900


class Engine:
    """One engine, by its program's name."""

    def __init__(self, name: str, shell: Shell) -> None:
        """Take the program, docker or podman, and the door to it."""
        self.name = name
        self.shell = shell
        self._pullable: bool | None = None

    def run(self, *words: str | Path, timeout: float | None = None, stdin: str = "") -> str:
        """Run a command of the engine."""
        return self.shell.run(self.name, *words, timeout=timeout, stdin=stdin)

    def works(self, *words: str | Path, timeout: float = 30) -> bool:
        """Whether a command of the engine ends well."""
        return self.shell.works(self.name, *words, timeout=timeout)

    def has_image(self, name: str) -> bool:
        """Whether an image is stored."""
        return self.works("image", "inspect", "--format", "{{.Id}}", name)

    def layers(self, name: str) -> list[str]:
        """Digests of an image's layers: they depend on its content alone, unlike its id."""
        return list(json.loads(self.run("image", "inspect", "--format", "{{json .RootFS.Layers}}", name)))

    def can_pull(self, trial: str) -> bool:
        """Try to pull a very small image, with little patience; the answer holds for this run."""
        if self._pullable is None:
            self._pullable = self.works("pull", "-q", trial, timeout=_TRIAL_SECONDS)
        return self._pullable

    def pull(self, name: str) -> bool:
        """Pull an image that is not stored yet; False where that fails."""
        return self.has_image(name) or self.works("pull", "-q", name, timeout=_PULL_SECONDS)

    def build(
        self,
        tag: str,
        context: Path,
        dockerfile: Path | None = None,
        arguments: Mapping[str, str] | None = None,
        secrets: Mapping[str, Path] | None = None,
    ) -> None:
        """Build an image; the time of its files is fixed so that the same inputs give the same layers."""
        words: list[str | Path] = ["build", "-t", tag, "-f", dockerfile or context / "Dockerfile"]
        for name, value in (arguments or {}).items():
            words += ["--build-arg", f"{name}={value}"]
        for name, path in (secrets or {}).items():
            words += ["--secret", f"id={name},src={path}"]
        if self.name == "podman":
            words += ["--timestamp", "0", "--format", "oci"]
        else:
            words += ["--build-arg", "SOURCE_DATE_EPOCH=0"]
        self.run(*words, context)

    def save(self, archive: Path, *names: str) -> None:
        """Write images to an archive."""
        words = ["-q", *(["-m"] if len(names) > 1 else [])] if self.name == "podman" else []
        self.run("save", *words, "-o", archive, *names)

    def load(self, archive: Path) -> None:
        """Read images from an archive."""
        self.run("load", "-q", "-i", archive)

    def containers(self, label: str) -> list[dict[str, Any]]:
        """Return what `inspect` says of the containers with a label, running or not."""
        names = self.names(label)
        return list(json.loads(self.run("container", "inspect", *names, timeout=60))) if names else []

    def names(self, label: str) -> list[str]:
        """Names of the containers with a label, running or not."""
        words = ("ps", "-a", "--filter", f"label={label}", "--format", "{{.Names}}")
        return sorted(self.run(*words, timeout=60).split())

    def remove_leftovers(self, layers: set[str]) -> int:
        """Remove nameless images upon these layers: stages of builds that nothing refers to any more."""
        if not layers or self.name != "podman":  # Docker keeps such stages in the cache of its builder
            return 0
        removed = 0
        while True:  # removing one uncovers its parent
            words = ("images", "-a", "-q", "--no-trunc", "--filter", "dangling=true")
            now = self.remove_images(
                *(name for name in self.run(*words).split() if self._is_upon(name, layers))
            )
            if not now:
                return removed
            removed += now

    def _is_upon(self, image: str, layers: set[str]) -> bool:
        try:
            return bool(layers.intersection(self.layers(image)[:1]))
        except CommandError:
            return False  # went with another one

    def remove_images(self, *names: str) -> int:
        """Remove images and return how many went; one that a container uses stays.

        Never by force: podman's force removes the containers of an image, too, running or not.
        """
        return sum(self.works("rmi", name, timeout=120) for name in names)

    def inspect(self, name: str) -> dict[str, Any]:
        """Return what the engine knows of a container; empty for one that does not exist."""
        try:
            found = json.loads(self.run("container", "inspect", name, timeout=60))
        except CommandError:
            return {}
        return dict(found[0])

    def remove(self, *names: str) -> None:
        """Remove containers at once, with their unnamed volumes.

        Podman 4 fails once on a container whose processes died without it, and only then knows that it is
        stopped: the second attempt removes it.
        """
        patience = ["-t", "0"] if self.name == "podman" else []
        for name in names:
            words = ["rm", "-f", "-v", *patience, name]
            if not self.works(*words, timeout=120):
                self.run(*words, timeout=120)


def is_alive(container: Mapping[str, Any], proc: Path = Path("/proc")) -> bool:
    """Whether a container's process lives: the engine's own record may be from before a reboot."""
    state = container.get("State", {})
    pid = int(state.get("Pid") or 0)
    return bool(state.get("Running")) and pid > 0 and (proc / str(pid)).exists()


def choose_engine(wanted: str, shell: Shell, probe: Path | None) -> tuple[Engine | None, str]:
    """Choose the engine, and say why; None where neither is there.

    Docker's daemon may answer and yet be unable to start a privileged container, which a node is: a small
    static program is started in one to find out.
    """
    if wanted:
        if shell.find(wanted) is None:
            raise LocalError(f"NOTEJAM_ENGINE names {wanted}, which is not on PATH")
        return Engine(wanted, shell), "as NOTEJAM_ENGINE says"
    why = "Docker is not installed"
    if shell.find("docker"):
        why = "Docker is installed but its daemon does not answer"
        if shell.works("docker", "info", timeout=10):
            docker = Engine("docker", shell)
            if probe is None or _starts_privileged(docker, probe):
                return docker, "Docker works"
            why = "Docker cannot start a privileged container"
    if shell.find("podman"):
        return Engine("podman", shell), why
    return None, why


def _starts_privileged(docker: Engine, probe: Path) -> bool:
    image = "localhost/notejam-probe:latest"
    text = f'FROM scratch\nCOPY {probe.name} /probe\nENTRYPOINT ["/probe"]\n'
    try:
        docker.run("build", "-q", "-t", image, "-f", "-", probe.parent, stdin=text, timeout=60)
        docker.run("run", "--rm", "--privileged", image, "version", timeout=60)
    except CommandError:
        return False
    finally:
        docker.works("rmi", "-f", image)
    return True
