"""`make test`: the checks, the cluster where it is needed, then one pytest run, whose result comes last."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from local.console import describe_seconds
from local.errors import LocalError
from local.phase_report import NOTES
from local.steps import FunctionStep, Runner, Verdict
from local.tools import FOR_CHECKS, FOR_FAULTS, FOR_TEST
from local.up import steps_up

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from local.workshop import Workshop

# One cluster serves them all.
MOST_WORKERS = 4
# Those that test the cluster wait more than they compute.
MORE_WORKERS = 1
PHASES: Mapping[str, tuple[str, ...]] = {
    "static": (),
    "unit": ("unit", "flow"),
    "charts": ("charts",),
    "app": ("app",),
    "cluster": ("cluster", "faults"),
    "faults": ("faults",),
}
# Run only where they are named; the phase `cluster` has their quick ones.
NAMED = ("faults",)
NEED_CLUSTER = {"cluster", "faults"}
# Real programs that tests run; only the programs are used, no service is started.
PACKAGES = {
    "shellcheck": "shellcheck",
    "docker-registry": "docker-registry",
    "chromium": "chromium",
    "/usr/lib/postgresql": "postgresql",
    "promtool": "prometheus",
}


def parse_phases(text: str) -> list[str]:
    """Read the phases to run, in their own order; all but those of NAMED where none is named."""
    usual = [phase for phase in PHASES if phase not in NAMED]
    wanted = [word.strip() for word in text.split(",") if word.strip()] or usual
    unknown = [word for word in wanted if word not in PHASES]
    if unknown:
        raise LocalError(f"unknown phase {', '.join(unknown)}", f"PHASES={','.join(PHASES)}, or some of them")
    return [phase for phase in PHASES if phase in wanted]


def run_tests(shop: Workshop, phases: str, pytest_words: Sequence[str]) -> int:
    """Run the phases and return the exit code."""
    wanted = parse_phases(phases)
    notes: list[str] = []
    started = time.monotonic()
    runner = Runner(shop.console, shop.shell, shop.settings.logs, "make test")
    needs_cluster = not NEED_CLUSTER.isdisjoint(wanted)
    names = FOR_FAULTS if "faults" in wanted else FOR_TEST if needs_cluster else FOR_CHECKS
    tools = FunctionStep("tools", partial(shop.tools.look, names), partial(shop.tools.make, names))
    machine = FunctionStep("programs", partial(look_packages, shop), partial(install_packages, shop))
    with shop.cache.lock(f"run-{shop.settings.cluster}", "this cluster"):
        runner.run([machine, tools])
        notes.append(f"programs   {describe_seconds(time.monotonic() - started)}")
        failed = _static(shop, notes) if "static" in wanted else []
        if needs_cluster:
            begun = time.monotonic()
            shop.console.line("== make up")
            runner.run(steps_up(shop))
            notes.append(f"make up    {describe_seconds(time.monotonic() - begun)}")
    folders = list(dict.fromkeys(f"tests/{folder}" for phase in wanted for folder in PHASES[phase]))
    existing = [folder for folder in folders if (shop.settings.root / folder).is_dir()]
    more = _postgres_image(shop) if "app" in wanted and "cluster" in wanted else {}
    # A fault takes nodes away from all that runs on them.
    workers = _workers() if not pytest_words and "faults" not in wanted else []
    if existing:
        shop.console.line(f"== pytest {' '.join(existing)}")
        code = _pytest(shop, [*workers, *existing, *pytest_words], notes, more)
    else:
        for note in notes:
            shop.console.line(note)
        code = 0
    return 1 if failed else code


def look_packages(shop: Workshop) -> Verdict:
    """Say which programs of the tests are missing on this machine."""
    missing = shop.machine.missing(PACKAGES)
    return Verdict(not missing, f"missing: {', '.join(missing)}" if missing else ", ".join(PACKAGES.values()))


def install_packages(shop: Workshop) -> str:
    """Install them."""
    shop.machine.need(PACKAGES, services=False)
    return "installed"


def _static(shop: Workshop, notes: list[str]) -> list[str]:
    from local.checks import run_checks

    shop.console.line("== static checks")
    begun = time.monotonic()
    shop.shell.log = shop.settings.logs / "static.log"
    failed = run_checks(shop)
    verdict = f"FAILED: {', '.join(failed)} (see above)" if failed else "ok"
    notes.append(f"static     {describe_seconds(time.monotonic() - begun)} {verdict}")
    return failed


def _postgres_image(shop: Workshop) -> dict[str, str]:
    """Name the database's image in the local registry, for the app's tests to run on."""
    if shop.settings.named_registry:
        return {}
    image = f"{shop.settings.registry}/postgres:{shop.image_makers['postgres'].version()}"
    return {"NOTEJAM_POSTGRES_IMAGE": image, "NOTEJAM_ENGINE": shop.engine.name}


def _workers() -> list[str]:
    """Share the tests among processes: whole files, since what takes long to make is made once a file.

    Those that take longest begin first, see tests/conftest.py.
    """
    count = min((os.cpu_count() or 1) + MORE_WORKERS, MOST_WORKERS)
    return ["-n", str(count), "--dist", "loadfile", "--no-loadscope-reorder"]


def _pytest(shop: Workshop, words: Sequence[str], notes: Sequence[str], more: Mapping[str, str]) -> int:
    """Become pytest, with the terminal to itself, and return its exit code."""
    environment = {**shop.environment, **more, NOTES: "\n".join(notes), "NOTEJAM_HELMS": "helm:helm3"}
    command = [sys.executable, "-m", "pytest", "-p", "local.phase_report", *words]
    return shop.shell.run_attached(*command, cwd=shop.settings.root, env=environment)
