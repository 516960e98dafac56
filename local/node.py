"""The node image, built here where the published one cannot be pulled: see node/Dockerfile."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from local.errors import LocalError
from local.keys import file_inputs, make_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from local.base import BaseMaker
    from local.cache import Cache
    from local.engine import Engine
    from local.gobuild import GoBuilder
    from local.shell import Shell

# Kubernetes 1.34, from the release notes of the kind version in local/go/kind/go.mod.
PUBLISHED_NODE = (
    "docker.io/kindest/node:v1.34.11@sha256:44e222ee2132dab25ff87301682f89eb82c7880ea3a1bf543bfe9708fd08d67d"
)
_TRIAL_IMAGE = "registry.k8s.io/pause:3.10.1"
FOLDER = Path(__file__).parent / "node"
SUITE = "bookworm"  # the systemd of trixie refuses hosts with cgroup v1
MODULES = (
    "kubernetes",
    "kubectl",
    "etcd",
    "coredns",
    "local-path-provisioner",
    "metrics-server",
    "kube-network-policies",
)
METRICS_SERVER = "localhost/notejam/metrics-server:local"
_POLICIES = "localhost/notejam/kube-network-policies:local"
_PODNET = "localhost/notejam/podnet:local"
_PROVISIONER = "docker.io/kindest/local-path-provisioner:local"
_HELPER = "docker.io/kindest/local-path-helper:local"
_CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "coredns")
_NETBASE = "localhost/notejam/netbase:local"
_NODE_PROGRAMS = ("kubelet", "kubeadm", "kubectl")
_STORAGE_SOURCE = "pkg/build/nodeimage/const_storage.go"


def storage_manifest(source: str, provisioner: str, helper: str) -> str:
    """Take kind's storage manifest out of its Go source, with our names of its two images."""
    _, _, manifest = source.partition("const defaultStorageManifest = `")
    for name, image in (("storageProvisionerImage", provisioner), ("storageHelperImage", helper)):
        manifest, times = re.subn(rf"`\s*\+\s*{name}\s*\+\s*`", image, manifest)
        if not times:
            raise LocalError(f"{_STORAGE_SOURCE} of kind is not as expected: it does not name {name}")
    return manifest.split("`", 1)[0].strip() + "\n"


def image_for(names: Iterable[str], program: str) -> str:
    """Pick the image of a program from what `kubeadm config images list` prints."""
    for name in names:
        if name.rsplit("/", 1)[-1].split(":", 1)[0] == program:
            return name
    raise LocalError(f"kubeadm names no image for {program}")


class NodeImage:
    """Builds the node image, or takes it from the cache."""

    def __init__(self, cache: Cache, go: GoBuilder, base: BaseMaker, engine: Engine, shell: Shell) -> None:
        """Take what it is built with."""
        self.cache = cache
        self.go = go
        self.base = base
        self.engine = engine
        self.shell = shell

    def inputs(self) -> dict[str, str]:
        """Everything that decides what comes out."""
        modules = {name: make_key(self.go.inputs(name)) for name in (*MODULES, "kind")}
        return {
            **file_inputs(FOLDER),
            **{f"module {name}": key for name, key in modules.items()},
            "base": make_key(self.base.inputs(SUITE)),
            "engine": self.engine.name,
        }

    def tag(self) -> str:
        """Name of the image, by its key."""
        return f"localhost/notejam/node:{make_key(self.inputs())[:12]}"

    def make(self) -> str:
        """Return the image's name; it is in the engine's store then."""
        tag = self.tag()
        if not self.engine.has_image(tag):
            folder = self.cache.make("node", self.inputs(), lambda out: self._build(tag, out), keep=2)
            if not self.engine.has_image(tag):
                self.engine.load(folder / "node.tar")
        return tag

    def _build(self, tag: str, out: Path) -> None:
        programs: dict[str, Path] = {}
        for module in MODULES:
            folder = self.go.make(module)
            programs.update({path.name: path for path in folder.iterdir() if path.name != "entry.json"})
        version = self.go.version("kubernetes")
        listed = self.shell.run(
            programs["kubeadm"], "config", "images", "list", "--kubernetes-version", version
        ).split()
        work = out / "work"
        bookworm = self.base.make(SUITE, self.engine)
        names = self._system_images(work, bookworm, programs, listed)
        archive = work / "images.tar"
        self.engine.save(archive, *names)
        self._context(work, programs)
        arguments = {
            "BASE": bookworm,
            "KUBERNETES_VERSION": version,
            "PAUSE_IMAGE": image_for(listed, "pause"),
        }
        raw = "localhost/notejam/node-raw:local"
        self.engine.build(raw, work / "node", FOLDER / "Dockerfile", arguments)
        self._import(raw, archive, tag)
        shutil.rmtree(work)
        self.engine.save(out / "node.tar", tag)
        layers = set(self.engine.layers(bookworm))
        self.engine.remove_images(raw, _NETBASE, *names, bookworm)
        self.engine.remove_leftovers(layers)

    def _system_images(
        self, work: Path, bookworm: str, programs: Mapping[str, Path], listed: list[str]
    ) -> list[str]:
        """Build what the cluster itself runs, under the names that kubeadm and kind expect."""
        (work / "empty").mkdir(parents=True)
        self.engine.build(_NETBASE, work / "empty", FOLDER / "netbase.Dockerfile", {"BASE": bookworm})
        pause = work / "pause" / "pause"
        env = {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}
        build = ("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", pause, ".")
        self.shell.run(*build, cwd=FOLDER / "pause", env=env)
        plain = {
            **{image_for(listed, program): programs[program] for program in _CONTROL_PLANE},
            image_for(listed, "pause"): pause,
            _PROVISIONER: programs["local-path-provisioner"],
            METRICS_SERVER: programs["metrics-server"],
            _POLICIES: programs["kube-network-policies"],
        }
        built = [self._image(name, program, "scratch") for name, program in plain.items()]
        built.append(self._image(image_for(listed, "kube-proxy"), programs["kube-proxy"], _NETBASE))
        built.append(self._image(_PODNET, FOLDER / "podnet.sh", _NETBASE, "/bin/bash"))
        self.engine.run("tag", _NETBASE, _HELPER)
        return [*built, _HELPER]

    def _image(self, name: str, program: Path, base: str, *interpreter: str) -> str:
        """Build an image of one program."""
        target = f"/usr/local/bin/{program.name}"
        entry = ", ".join(f'"{word}"' for word in (*interpreter, target))
        text = f"FROM {base}\nCOPY {program.name} {target}\nENTRYPOINT [{entry}]\n"
        fixed = (
            ["--timestamp", "0"] if self.engine.name == "podman" else ["--build-arg", "SOURCE_DATE_EPOCH=0"]
        )
        self.engine.run("build", "-q", *fixed, "-t", name, "-f", "-", program.parent, stdin=text)
        return name

    def _context(self, work: Path, programs: Mapping[str, Path]) -> None:
        """Lay out the build context of the node image: kind's files, ours, and the programs."""
        context = work / "node"
        kind = self.go.source("kind")
        shutil.copytree(kind / "images" / "base" / "files", context / "kind", copy_function=shutil.copyfile)
        for folder, _, _ in os.walk(context):
            Path(folder).chmod(0o755)  # the module cache is read-only, and copytree keeps that
        (context / "bin").mkdir()
        for name in _NODE_PROGRAMS:
            shutil.copy2(programs[name], context / "bin" / name)
        (context / "manifests").mkdir()
        shutil.copy2(FOLDER / "podnet.yaml", context / "manifests" / "default-cni.yaml")
        storage = storage_manifest(
            (kind / _STORAGE_SOURCE).read_text(encoding="utf-8"), _PROVISIONER, _HELPER
        )
        (context / "manifests" / "default-storage.yaml").write_text(storage, encoding="utf-8")
        shutil.copy2(FOLDER / "assemble.sh", context / "assemble.sh")

    def _import(self, raw: str, archive: Path, tag: str) -> None:
        """Put the system images into the node image's own store."""
        container = "notejam-node-import"
        self.engine.remove(container)
        mounts = ["-v", f"{archive}:/images.tar:ro", "-v", f"{FOLDER / 'import.sh'}:/import.sh:ro"]
        self.engine.run(
            "run", "-d", "--privileged", "--name", container, *mounts, "--entrypoint", "sleep", raw, "1800"
        )
        try:
            self.engine.run("exec", container, "bash", "/import.sh")
            quiet = ["-q"] if self.engine.name == "podman" else []
            changes = ('ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]', "CMD []")
            words = [word for change in changes for word in ("--change", change)]
            self.engine.run("commit", *quiet, *words, container, tag)
        finally:
            self.engine.remove(container)


def choose_node_image(engine: Engine, built: NodeImage, say: Callable[[str], None]) -> tuple[str, str]:
    """Return the node image, there for use, and why it is that one."""
    if engine.has_image(PUBLISHED_NODE):
        return PUBLISHED_NODE, f"the published node image, with {engine.name}"
    if engine.can_pull(_TRIAL_IMAGE) and engine.pull(PUBLISHED_NODE):
        return PUBLISHED_NODE, f"the published node image, pulled with {engine.name}"
    say("no image can be pulled here: the node image is made from Debian packages and Go modules")
    tag = built.make()
    return tag, f"{tag}, made from Debian packages and Go modules"
