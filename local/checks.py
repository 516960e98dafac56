"""The checks that need no test: linters, types, charts against their schemas and against Kubernetes."""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local.console import describe_seconds
from local.errors import CommandError
from local.images import CHARTS
from local.schemas import TEMPLATE, make_schemas
from local.settings import STAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.workshop import Workshop

_KUBERNETES = "1.34"
# What kube-score wants and these charts do otherwise, on purpose.
NOT_SCORED = {
    "container-ephemeral-storage-request-and-limit": "root is read-only and every emptyDir has a limit",
    "container-image-pull-policy": "images are pinned by digest; Always would need the registry at a restart",
    "container-security-context-user-group-id": "volumes of Postgres keep the uid 999 of Debian's package",
    "pod-networkpolicy": "it also asks for rules about Jobs, which nobody connects to",
    "service-targets-pod": "the label of the primary is set by the keeper, not by the template",
}
# The same of kube-linter.
NOT_LINTED = {
    "job-ttl-seconds-after-finished": "the Jobs of hooks are kept for their logs until the next one",
    "dangling-service": "two Services follow a label that is set at run time",
    "no-anti-affinity": "pods are kept apart by topologySpreadConstraints, which the check does not know",
}


@dataclass(frozen=True)
class Check:
    """A check by name."""

    name: str
    run: Callable[[], object]


def make_checks(shop: Workshop) -> list[Check]:
    """Return all checks, the fast ones first."""
    root = shop.settings.root

    def python(*words: str) -> Callable[[], object]:
        return lambda: shop.shell.run(sys.executable, "-m", *words, cwd=root)

    return [
        Check("ruff check", python("ruff", "check", ".")),
        Check("ruff format", python("ruff", "format", "--check", ".")),
        Check("mypy", python("mypy")),
        Check("shellcheck", lambda: shop.shell.run("shellcheck", *shell_scripts(root), cwd=root)),
        Check("helm lint", lambda: _lint(shop)),
        Check("kubeconform", lambda: _conform(shop)),
        Check("kube-score", lambda: _score(shop)),
        Check("kube-linter", lambda: _linter(shop)),
    ]


def run_checks(shop: Workshop) -> list[str]:
    """Run every check, show what fails, and return the names of those that failed."""
    failed = []
    for check in make_checks(shop):
        started = time.monotonic()
        try:
            check.run()
        except CommandError as error:
            failed.append(check.name)
            shop.console.line(f"  {check.name:<24} FAILED: {error}")
            for line in error.output.rstrip().splitlines():
                shop.console.note(f"| {line}")
        else:
            shop.console.line(f"  {check.name:<24} ok ({describe_seconds(time.monotonic() - started)})")
    return failed


def shell_scripts(root: Path) -> list[str]:
    """Shell scripts of the project: by their suffix, and those without one."""
    found = [path for folder in ("app", "charts", "local", "docs") for path in (root / folder).rglob("*.sh")]
    found += [path for path in (root / ".ci").glob("*") if path.is_file()]
    return sorted(str(path.relative_to(root)) for path in found)


def values_files(root: Path, chart: str) -> list[Path]:
    """Values that a chart must render with: its own examples, and those of every stage."""
    stages = [root / "values" / stage / f"{chart}.yaml" for stage in STAGES]
    return [
        *sorted((root / "charts" / chart / "ci").glob("*.yaml")),
        *(path for path in stages if path.exists()),
    ]


def _lint(shop: Workshop) -> None:
    root = shop.settings.root
    words = ("--strict", "--kube-version", _KUBERNETES)
    for chart in CHARTS:
        for values in values_files(root, chart):
            shop.shell.run("helm", "lint", f"charts/{chart}", *words, "--values", values, cwd=root)


def _conform(shop: Workshop) -> None:
    schemas = make_schemas(shop.cache, shop.go)
    words = ("-strict", "-summary", "-schema-location", f"{schemas}/{TEMPLATE}")
    with _rendered(shop) as paths:
        shop.shell.run("kubeconform", *words, *paths)


def _score(shop: Workshop) -> None:
    ignored = [word for name in NOT_SCORED for word in ("--ignore-test", name)]
    # A limit of processor time would delay heartbeats and requests.
    words = ("--ignore-container-cpu-limit", "--output-format", "ci", *ignored)
    with _rendered(shop) as paths:
        for path in paths:
            shop.shell.run("kube-score", "score", *words, path)


def _linter(shop: Workshop) -> None:
    excluded = [word for name in NOT_LINTED for word in ("--exclude", name)]
    with _rendered(shop) as paths:
        for path in paths:
            shop.shell.run("kube-linter", "lint", "--fail-if-no-objects-found", *excluded, path)


@contextmanager
def _rendered(shop: Workshop) -> Iterator[list[Path]]:
    """Give a file for each chart and each of its values."""
    with tempfile.TemporaryDirectory(prefix="notejam-render-") as folder:
        yield [path for chart in CHARTS for path in _render(shop, chart, Path(folder))]


def _render(shop: Workshop, chart: str, folder: Path) -> Iterator[Path]:
    root = shop.settings.root
    for number, values in enumerate(values_files(root, chart)):
        words = ("--kube-version", _KUBERNETES, "--values", values)
        text = shop.shell.run("helm", "template", "notejam", f"charts/{chart}", *words, cwd=root)
        path = folder / f"{chart}-{number}-{values.parent.name}-{values.stem}.yaml"
        path.write_text(text, encoding="utf-8")
        yield path
