"""Programs built from pinned Go modules.

local/go/<name>/ holds go.mod, go.sum and tools.go, which names the commands, or main.go, one of our own.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local.errors import CommandError, LocalError
from local.keys import file_inputs

if TYPE_CHECKING:
    from local.cache import Cache
    from local.machine import Machine
    from local.shell import Shell

GO_MINIMUM = (1, 21)
FLAGS = "-mod=readonly -trimpath -buildvcs=false"
_KUBERNETES_VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
_KUBERNETES_VERSIONS = tuple(f"{package}.gitVersion" for package in _KUBERNETES_VERSION_PACKAGES)


@dataclass(frozen=True)
class GoTool:
    """Programs that are built together from the module in one folder."""

    module: str
    programs: tuple[str, ...]
    main: str
    minutes: float
    version_variables: tuple[str, ...] = ()
    shared_folder: str = ""
    # Files of the module that are kept beside the programs.
    data: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Folder below local/go."""
        return self.shared_folder or self.module

    @property
    def kind(self) -> str:
        """Kind of its cache entries."""
        return f"go-{self.module}"


# The minutes are those of a cold build on two cores: they are told to whoever waits.
TOOLS = {
    tool.module: tool
    for tool in (
        GoTool("helm4", ("helm",), "helm.sh/helm/v4", 3.5, ("helm.sh/helm/v4/internal/version.version",)),
        GoTool("kind", ("kind",), "sigs.k8s.io/kind", 0.5),
        GoTool(
            "kubernetes",
            (
                "kubelet",
                "kubeadm",
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kube-proxy",
            ),
            "k8s.io/kubernetes",
            6,
            _KUBERNETES_VERSIONS,
        ),
        GoTool("kubectl", ("kubectl",), "k8s.io/kubernetes", 1.5, _KUBERNETES_VERSIONS, "kubernetes"),
        GoTool("etcd", ("etcd",), "go.etcd.io/etcd/server/v3", 2),
        GoTool("coredns", ("coredns",), "github.com/coredns/coredns", 2.5),
        GoTool(
            "local-path-provisioner",
            ("local-path-provisioner",),
            "github.com/rancher/local-path-provisioner",
            1,
        ),
        GoTool("metrics-server", ("metrics-server",), "sigs.k8s.io/metrics-server", 2),
        GoTool("kube-network-policies", ("kube-network-policies",), "sigs.k8s.io/kube-network-policies", 1),
        GoTool("helm3", ("helm3",), "helm.sh/helm/v3", 2, ("helm.sh/helm/v3/internal/version.version",)),
        GoTool("kubeconform", ("kubeconform",), "github.com/yannh/kubeconform", 0.2, ("main.version",)),
        GoTool("kube-score", ("kube-score",), "github.com/zegl/kube-score", 1, ("main.version",)),
        GoTool(
            "kube-linter",
            ("kube-linter",),
            "golang.stackrox.io/kube-linter",
            2.5,
            ("golang.stackrox.io/kube-linter/internal/version.version",),
        ),
        GoTool(
            "cert-manager",
            ("cert-manager-local",),
            "github.com/cert-manager/cert-manager",
            2.5,
            data=tuple(
                f"deploy/crds/cert-manager.io_{name}.yaml"
                for name in ("certificaterequests", "certificates", "clusterissuers", "issuers")
            ),
        ),
    )
}


def module_version(go_mod: str, module: str) -> str:
    """Version of a module that a go.mod requires."""
    found = re.search(rf"^(?:require)?\s+{re.escape(module)} (v\S+)", go_mod, re.MULTILINE)
    if not found:
        raise LocalError(f"go.mod does not require {module}")
    return found.group(1)


def commands(folder: Path) -> list[str]:
    """Find the packages that a folder's tools.go imports; the folder's own where it has a main.go."""
    if (folder / "main.go").exists():
        return ["."]
    return re.findall(r'^\s*_ "([^"]+)"', (folder / "tools.go").read_text(encoding="utf-8"), re.MULTILINE)


def link_flags(module: str, version: str) -> str:
    """Return linker flags: no debug information, and the version, which some programs learn nowhere else."""
    words = ["-s", "-w", *(f"-X {name}={version}" for name in TOOLS[module].version_variables)]
    if TOOLS[module].folder == "kubernetes":
        major, minor, _ = version.removeprefix("v").split(".", 2)
        parts = {"gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        words += [
            f"-X {package}.{name}={value}"
            for package in _KUBERNETES_VERSION_PACKAGES
            for name, value in parts.items()
        ]
    return " ".join(words)


def parse_go_version(text: str) -> tuple[int, int]:
    """Version from `go version`, as (1, 26); (0, 0) where there is none."""
    found = re.search(r"\bgo(\d+)\.(\d+)", text)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


class GoBuilder:
    """Builds modules, or takes them from the cache."""

    def __init__(self, root: Path, cache: Cache, machine: Machine, shell: Shell) -> None:
        """Take the folder local/go, the cache and the door to other programs."""
        self.root = root
        self.cache = cache
        self.machine = machine
        self.shell = shell

    def version(self, module: str) -> str:
        """Version at which a program is pinned."""
        folder = self.root / TOOLS[module].folder
        return module_version((folder / "go.mod").read_text(encoding="utf-8"), TOOLS[module].main)

    def inputs(self, module: str) -> dict[str, str]:
        """Everything that decides what comes out of a build."""
        return {
            **file_inputs(self.root / TOOLS[module].folder, ("go.mod", "go.sum", "tools.go", "main.go")),
            **({"data": " ".join(TOOLS[module].data)} if TOOLS[module].data else {}),
            "programs": " ".join(TOOLS[module].programs),
            "flags": FLAGS,
            "ldflags": link_flags(module, self.version(module)),
            "machine": platform.machine(),
            "go": self.go_version(module),
        }

    def find(self, module: str) -> Path | None:
        """Folder of the built programs, or None."""
        return self.cache.find(TOOLS[module].kind, self.inputs(module))

    def make(self, module: str) -> Path:
        """Folder of the built programs, built when there is none."""
        return self.cache.make(TOOLS[module].kind, self.inputs(module), lambda out: self._build(module, out))

    def source(self, module: str) -> Path:
        """Folder of a module's own source, as its pinned version has it."""
        answer = json.loads(self._go(module, "mod", "download", "-json", f"{TOOLS[module].main}"))
        return Path(answer["Dir"])

    def fetch(self, module: str, version: str, checksum: str) -> Path:
        """Folder of a module that nothing is built from; raise LocalError if its checksum is another."""
        answer = json.loads(self._go("kubernetes", "mod", "download", "-json", f"{module}@{version}"))
        if answer["Sum"] != checksum:
            raise LocalError(f"{module} {version} has the checksum {answer['Sum']} instead of {checksum}")
        return Path(answer["Dir"])

    def go_version(self, module: str) -> str:
        """Exact version of the Go that would build a module, as go itself decides it."""
        if self.shell.find("go") is None:
            self.machine.need_go(GO_MINIMUM)
        text = self._go(module, "version").strip()
        if parse_go_version(text) < GO_MINIMUM:
            raise LocalError(
                f"{text} is too old: it cannot fetch the version that the modules name",
                "install Go 1.21 or newer (https://go.dev/dl), then run this again",
            )
        return text

    def _build(self, module: str, out: Path) -> None:
        tool = TOOLS[module]
        listed = commands(self.root / tool.folder)
        names = [name for name in listed if name.rsplit("/", 1)[-1] in tool.programs] or listed
        ldflags = link_flags(module, self.version(module))
        self._go(module, "build", "-v", "-ldflags", ldflags, "-o", f"{out}{os.sep}", *names)
        built = sorted(path.name for path in out.iterdir())
        if len(tool.programs) == 1 and len(built) == 1:
            (out / built[0]).rename(out / tool.programs[0])
        elif built != sorted(tool.programs):
            raise CommandError(f"go build of {module} made {', '.join(built)}")
        for name in tool.data:
            shutil.copyfile(self.source(module) / name, out / Path(name).name)

    def _go(self, module: str, *words: str) -> str:
        # auto: a Go that is older than the module asks for fetches the right one.
        environment = {"CGO_ENABLED": "0", "GOFLAGS": FLAGS, "GOWORK": "off", "GOTOOLCHAIN": "auto"}
        return self.shell.run("go", *words, cwd=self.root / TOOLS[module].folder, env=environment)
