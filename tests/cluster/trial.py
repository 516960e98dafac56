"""Throw-away stages with the project's own charts, values and releaser."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.cluster.registry import TestRegistry

PORTS = {"development": 30091, "testing": 30092, "production": 30090}
REAL_PORTS = {"development": 30081, "testing": 30082, "production": 30080}
REPLICAS = {"development": 1, "testing": 1, "production": 2}
MEMBERS = {"development": 1, "testing": 1, "production": 2}
SECONDS = 600
# Several processes may share one run of pytest; each has trials of its own.
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", secrets.token_hex(2))[:4]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All that it printed."""
        return self.out + self.err

    def json(self) -> Any:
        """What it printed as JSON."""
        return json.loads(self.out)


class Trial:
    """A pipeline of three stages in namespaces of their own."""

    def __init__(
        self, root: Path, folder: Path, context: str, registry: str, store: TestRegistry, version: str
    ) -> None:
        self.root, self.context, self.registry, self.store, self.version = (
            root,
            context,
            registry,
            store,
            version,
        )
        self.folder = folder
        self.environment: dict[str, str] = {}
        self.id = RUN + secrets.token_hex(2)
        self.values = folder / "values"
        shutil.copytree(root / "values", self.values)
        self._clear_leftovers()
        self._shrink()
        self.first = self.releaser("--output", "json", "bundle", "show", version).json()

    def namespace(self, stage: str) -> str:
        """Return the namespace of a stage."""
        return f"trial-{self.id}-{stage}"

    def url(self, stage: str) -> str:
        """Return the address of a stage."""
        return f"http://{os.environ.get('NOTEJAM_ADDRESS', '127.0.0.1')}:{PORTS[stage]}"

    def releaser(self, *arguments: str, env: dict[str, str] | None = None) -> Done:
        """Run the releaser on this pipeline."""
        done = subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            cwd=self.root,
            env={**os.environ, **self.environment, **(env or {})},
            stdin=subprocess.DEVNULL,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of the releaser on this pipeline."""
        return [sys.executable, "-m", "releaser", "--config", str(self.values / "pipeline.yaml"), *arguments]

    def promote(self, stage: str, version: str | None = None) -> Done:
        """Promote and expect success."""
        named = ["--version", version] if version else []
        done = self.releaser("promote", "--to", stage, "--yes", *named)
        assert done.code == 0, done.text
        return done

    def kubectl(self, stage: str, *arguments: str, stdin: str = "") -> str:
        """Run kubectl in the namespace of a stage."""
        command = ["kubectl", "--context", self.context, "-n", self.namespace(stage), *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=False, input=stdin
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def helm(self, *arguments: str, stage: str | None = None) -> str:
        """Run helm, in the namespace of a stage if there is one."""
        place = ["--kube-context", self.context, "-n", self.namespace(stage)] if stage else []
        done = subprocess.run(
            ["helm", *arguments, *place], capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    def pods(self, stage: str, release: str = "notejam") -> list[dict[str, Any]]:
        """Return the pods of the app, ending ones included; those of Jobs left out."""
        selector = f"app.kubernetes.io/instance={release}"
        found = json.loads(self.kubectl(stage, "get", "pods", "-l", selector, "-o", "json"))["items"]
        return [pod for pod in found if pod["metadata"].get("ownerReferences", [{}])[0].get("kind") != "Job"]

    def revision(self, stage: str, release: str = "notejam") -> dict[str, Any]:
        """Return the newest entry of Helm's history of a release."""
        return dict(json.loads(self.helm("history", release, "-o", "json", stage=stage))[-1])

    def make_version(
        self, suffix: str, *, files: dict[str, str] | None = None, env: dict[str, str] | None = None
    ) -> str:
        """Push a bundle like the first one with another app image; return its version."""
        version = f"{self.version}.{suffix}.t{self.id}"
        app = self.first["images"]["app"]
        variables = {"NOTEJAM_VERSION": version, **(env or {})}
        digest = self.store.derive("app", app["digest"], env=variables, files=files)
        chart = self._package_chart(version, digest)
        postgres, database = self.first["images"]["postgres"], self.first["charts"]["postgres-ha"]
        done = self.releaser(
            "bundle", "push", "--version", version,
            "--chart", f"notejam={version}@{chart}",
            "--chart", f"postgres-ha={database['version']}@{database['digest']}",
            "--image", f"app=app:{version}@{digest}",
            "--image", f"postgres=postgres:{postgres['tag']}@{postgres['digest']}",
        )  # fmt: skip
        assert done.code == 0, done.text
        return version

    def bundle(self, version: str) -> dict[str, Any]:
        """Return a bundle as the releaser shows it."""
        return dict(self.releaser("--output", "json", "bundle", "show", version).json())

    def remove(self) -> None:
        """Delete the namespaces, without waiting for them to be gone."""
        for stage in PORTS:
            command = ["kubectl", "--context", self.context, "delete", "namespace", self.namespace(stage)]
            subprocess.run([*command, "--ignore-not-found", "--wait=false"], check=False, capture_output=True)

    def _clear_leftovers(self) -> None:
        """Delete what earlier runs left, and wait: their Services hold the node ports."""
        kubectl = ["kubectl", "--context", self.context]
        listed = subprocess.run(
            [*kubectl, "get", "namespaces", "-o", "name"], capture_output=True, text=True, check=True
        ).stdout.split()
        ours = f"namespace/trial-{RUN}"
        left = [name for name in listed if name.startswith("namespace/trial-") and not name.startswith(ours)]
        if left:
            subprocess.run(
                [*kubectl, "delete", *left, "--timeout=300s"],
                check=True,
                capture_output=True,
                timeout=SECONDS,
            )

    def _package_chart(self, version: str, digest: str) -> str:
        work = self.folder / f"chart-{version}"
        shutil.copytree(self.root / "charts" / "notejam", work / "notejam")
        path = work / "notejam" / "values.yaml"
        yaml = YAML()
        values = yaml.load(path.read_text())
        values["image"]["repository"] = f"{self.registry}/app"
        values["image"]["digest"] = digest
        with path.open("w") as file:
            yaml.dump(values, file)
        self.helm(
            "package", str(work / "notejam"), "--version", version, "--app-version", version, "-d", str(work)
        )
        packed = work / f"notejam-{version}.tgz"
        self.helm("push", str(packed), f"oci://{self.registry}/charts", "--plain-http")
        return self.store.digest_of("charts/notejam", version)

    def _shrink(self) -> None:
        """Give the stages their own namespaces and ports, and fewer pods than the real ones."""
        path = self.values / "pipeline.yaml"
        text = path.read_text().replace("notejam-", f"trial-{self.id}-")
        text = text.replace(f"release: trial-{self.id}-db", "release: notejam-db")
        for stage, port in REAL_PORTS.items():
            text = text.replace(f":{port}", f":{PORTS[stage]}")
        path.write_text(text)
        for stage, port in REAL_PORTS.items():
            app = self.values / stage / "notejam.yaml"
            text = app.read_text().replace(str(port), str(PORTS[stage]))
            app.write_text(re.sub(r"(?m)^replicas: \d", f"replicas: {REPLICAS[stage]}", text))
            database = self.values / stage / "postgres-ha.yaml"
            database.write_text(
                re.sub(r"(?m)^members: \d", f"members: {MEMBERS[stage]}", database.read_text())
            )
            (self.values / stage / "bundle.yaml").unlink(missing_ok=True)
