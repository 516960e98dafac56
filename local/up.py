"""The steps of `make up`, in order. This is the table of contents; the work is done elsewhere."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from local import git
from local.errors import CommandError, LocalError
from local.images import CHARTS, IMAGES, POSTGRES
from local.machine import INOTIFY, INOTIFY_NEEDED, PODMAN
from local.packaging import bundle_version, chart_version
from local.settings import NODE_COUNT, STAGES
from local.state import Action, Decision
from local.steps import FunctionStep, Step, Verdict
from local.tools import FOR_NAMED_CLUSTER, FOR_UP
from local.wake import bring_up_cluster, decide_cluster

if TYPE_CHECKING:
    from local.workshop import Workshop

_MODULES = Path("/lib/modules")


def steps_up(shop: Workshop, *, promote: bool = True) -> list[Step]:
    """Return the steps that bring everything up."""
    return Up(shop).steps(promote=promote)


class Up:
    """What the steps share: each is a pair of a look and a run."""

    def __init__(self, shop: Workshop) -> None:
        """Take the parts."""
        self.shop = shop
        self.settings = shop.settings
        self._stages: dict[str, tuple[str, bool]] | None = None
        self._versions: tuple[dict[str, str], dict[str, str], str] | None = None
        self._decision: Decision | None = None

    def steps(self, *, promote: bool) -> list[Step]:
        """Return the steps that bring everything up."""
        shop = self.shop
        programs = FOR_NAMED_CLUSTER if shop.settings.named_context else FOR_UP
        steps: list[Step] = [
            FunctionStep("tools", partial(shop.tools.look, programs), partial(shop.tools.make, programs)),
            FunctionStep("machine", self._look_machine, self._run_machine),
        ]
        if shop.settings.named_context:
            steps.append(FunctionStep("cluster", self._look_named, self._run_named))
            steps.append(FunctionStep("base image", self._look_base, self._run_base))
        else:
            steps += [
                FunctionStep("node image", self._look_node, self._run_node),
                FunctionStep("cluster", self._look_cluster, self._run_cluster),
                FunctionStep("add-ons", self._look_addons, self._run_addons),
                FunctionStep("base image", self._look_base, self._run_base),
                FunctionStep("registry", self._look_registry, self._run_registry),
            ]
        for image in IMAGES:
            steps.append(
                FunctionStep(
                    f"image {image.name}",
                    partial(self._look_image, image.name),
                    partial(self._run_image, image.name),
                )
            )
        steps += [
            FunctionStep("charts", self._look_charts, self._run_charts),
            FunctionStep("bundle", self._look_bundle, self._run_bundle),
        ]
        if promote:
            for stage in STAGES:
                steps.append(
                    FunctionStep(stage, partial(self._look_stage, stage), partial(self._run_stage, stage))
                )
        return steps

    # The machine ------------------------------------------------------------------------------------------

    def _look_machine(self) -> Verdict:
        engine, why = self.shop.engine_choice
        if engine is None:
            return Verdict(is_done=False, reason=f"{why}, so podman is needed")
        missing = self.shop.machine.missing(PODMAN) if engine.name == "podman" else []
        if missing:
            return Verdict(is_done=False, reason=f"podman lacks {', '.join(missing)}")
        if not _MODULES.exists() and not self.settings.named_context:
            return Verdict(is_done=False, reason=f"{_MODULES} is missing, which kind shows to its nodes")
        if not self.shop.machine.watches_suffice() and not self.settings.named_context:
            return Verdict(
                is_done=False, reason=f"{INOTIFY} is below {INOTIFY_NEEDED}, which four nodes need"
            )
        return Verdict(is_done=True, reason=f"{engine.name} ({why})")

    def _run_machine(self) -> str:
        engine, _ = self.shop.engine_choice
        if engine is None or engine.name == "podman":
            self.shop.machine.need(PODMAN)
            self.shop.forget_engine()
        if not _MODULES.exists() and not self.settings.named_context:
            self.shop.machine.run_as_root("mkdir", "-p", str(_MODULES))
        if not self.shop.machine.watches_suffice() and not self.settings.named_context:
            setting = f"fs.inotify.max_user_instances={INOTIFY_NEEDED}"
            self.shop.console.note(f"raising {setting}, until the next reboot")
            self.shop.machine.run_as_root("sysctl", "-qw", setting)
        return self._look_machine().reason

    # The cluster ------------------------------------------------------------------------------------------

    def _look_named(self) -> Verdict:
        try:
            found = self.shop.shell.run(
                "kubectl",
                "--context",
                self.settings.context,
                "--request-timeout=10s",
                "get",
                "nodes",
                "-o",
                "name",
            )
        except CommandError as error:
            raise LocalError(
                f"context {self.settings.context} does not answer: {error}", "kubectl config get-contexts"
            ) from None
        count = len(found.split())
        return Verdict(is_done=True, reason=f"yours: context {self.settings.context}, {count} nodes")

    def _run_named(self) -> str:
        return self._look_named().reason

    def _look_node(self) -> Verdict:
        decision = self._decision = decide_cluster(self.shop)
        if decision.action in (Action.CREATE, Action.RECREATE):
            if decision.action is Action.CREATE:  # before the node image, whose making may take long
                self.shop.cluster.check_ports()
                self.shop.registry.check_port()
            return Verdict(is_done=False, reason="needed for a new cluster")
        return Verdict(is_done=True, reason="not needed: the cluster exists")

    def _run_node(self) -> str:
        _, why = self.shop.node
        return why

    def _look_cluster(self) -> Verdict:
        decision = self._decision or decide_cluster(self.shop)
        if decision.action is not Action.KEEP:
            return Verdict(is_done=False, reason=decision.reason)
        return Verdict(is_done=True, reason=f"kind-{self.settings.cluster}: {decision.reason}")

    def _run_cluster(self) -> str:
        return bring_up_cluster(self.shop)

    def _look_addons(self) -> Verdict:
        if not self.shop.cluster.addons_ready():
            return Verdict(is_done=False, reason="network policies, metrics: not all there")
        return Verdict(is_done=True, reason="network policies, metrics, volumes")

    def _run_addons(self) -> str:
        self.shop.cluster.apply_addons()
        return "network policies are enforced, metrics-server runs, volumes are class `standard`"

    # The registry -----------------------------------------------------------------------------------------

    def _look_base(self) -> Verdict:
        found = self.shop.find_base()
        if found:
            return Verdict(is_done=True, reason=found)
        return Verdict(is_done=False, reason="debian:trixie-slim is not here yet")

    def _run_base(self) -> str:
        name, why = self.shop.base
        return f"{name} ({why})"

    def _look_registry(self) -> Verdict:
        registry = self.shop.registry
        if not registry.runs():
            return Verdict(is_done=False, reason="it does not run")
        if not self.shop.cluster.registry_is_known(registry.inner_address):
            return Verdict(is_done=False, reason="not every node knows it")
        return Verdict(
            is_done=True, reason=f"{self.settings.registry_host} answers, {NODE_COUNT} nodes know it"
        )

    def _run_registry(self) -> str:
        registry = self.shop.registry
        why = "it runs" if registry.runs() else registry.start(self.shop.base[0])
        self.shop.cluster.introduce_registry(registry.inner_address)
        return f"{self.settings.registry_host} ({why}), container {self.settings.registry_name}"

    # What is released -------------------------------------------------------------------------------------

    def _look_image(self, name: str) -> Verdict:
        return self.shop.image_makers[name].look()

    def _run_image(self, name: str) -> str:
        commit = git.commit(self.shop.shell, self.settings.root)
        return self.shop.image_makers[name].make(commit, self.shop.console.note)

    def versions(self) -> tuple[dict[str, str], dict[str, str], str]:
        """Versions of the images, the charts and the bundle; read once, so that a run speaks of one."""
        if self._versions is not None:
            return self._versions
        images = {image.name: self.shop.image_makers[image.name].version() for image in IMAGES}
        charts = {
            image.chart: chart_version(self.settings.root, image.chart, images[image.name])
            for image in IMAGES
        }
        self._versions = images, charts, bundle_version(self.settings.root, charts)
        return self._versions

    def _look_charts(self) -> Verdict:
        _, charts, _ = self.versions()
        found = self.shop.chart_maker.digests(charts)
        names = ", ".join(f"{chart} {charts[chart]}" for chart in CHARTS)
        if len(found) == len(CHARTS):
            return Verdict(is_done=True, reason=names)
        missing = ", ".join(f"{chart} {charts[chart]}" for chart in CHARTS if chart not in found)
        return Verdict(is_done=False, reason=f"not in the registry yet: {missing}")

    def _run_charts(self) -> str:
        images, charts, _ = self.versions()
        found = self.shop.chart_maker.digests(charts)
        told = []
        for chart in CHARTS:
            if chart not in found:
                image = images[POSTGRES.name if chart == POSTGRES.chart else "app"]
                digest = self.shop.chart_maker.make(chart, charts[chart], image)
                told.append(f"{chart} {charts[chart]} {digest[:19]}")
        return "; ".join(told)

    def _look_bundle(self) -> Verdict:
        _, _, version = self.versions()
        if self.shop.chart_maker.store.digest("bundle", version):
            return Verdict(is_done=True, reason=version)
        return Verdict(is_done=False, reason=f"{version} is not in the registry yet")

    def _run_bundle(self) -> str:
        images, charts, version = self.versions()
        words = ["--version", version]
        commit = git.commit(self.shop.shell, self.settings.root)
        if commit:
            words += ["--commit", commit]
        self.shop.releaser("bundle", "push", *words, *self.shop.chart_maker.bundle_words(charts, images))
        return version

    # The stages -------------------------------------------------------------------------------------------

    def _look_stage(self, stage: str) -> Verdict:
        _, _, version = self.versions()
        if self._stages is None:
            self._stages = fetch_stages(self.shop)
        running, healthy = self._stages.get(stage, ("", False))
        address = self.settings.stage_address(stage)
        if running == version and healthy:
            return Verdict(is_done=True, reason=f"{version} is verified and healthy at {address}")
        state = f"runs {running}" if running else "runs nothing"
        return Verdict(is_done=False, reason=f"{state}; promoting {version}")

    def _run_stage(self, stage: str) -> str:
        _, _, version = self.versions()
        self._stages = None
        self.shop.releaser("promote", "--to", stage, "--version", version, "--yes")
        return f"{version} at {self.settings.stage_address(stage)}"


def fetch_stages(shop: Workshop) -> dict[str, tuple[str, bool]]:
    """Ask the releaser what every stage runs and whether it is well."""
    text = shop.releaser("--output", "json", "status")
    try:
        rows = json.loads(text)["stages"]
        return {row["stage"]: (row["version"], bool(row["is_healthy"])) for row in rows}
    except (ValueError, KeyError, TypeError):
        raise LocalError(
            "`releaser status` printed something unexpected", "releaser --output json status"
        ) from None
