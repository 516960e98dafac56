"""The steps of `make down`: everything that `make up` made is removed again."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from local.base import FAMILIAR_NAME
from local.cluster import KIND_LABEL
from local.registry import NETWORK
from local.settings import DEFAULT_CLUSTER, STAGES
from local.steps import FunctionStep, Step, Verdict

if TYPE_CHECKING:
    from local.engine import Engine
    from local.workshop import Workshop

_OURS = "localhost/notejam/"


def steps_down(shop: Workshop, *, cache: bool) -> list[Step]:
    """Return the steps that remove everything; the cache only when asked."""
    return Down(shop).steps(cache=cache)


class Down:
    """What the steps share."""

    def __init__(self, shop: Workshop) -> None:
        """Take the parts."""
        self.shop = shop
        self.settings = shop.settings

    def steps(self, *, cache: bool) -> list[Step]:
        """Return the steps that remove everything; the cache only when asked."""
        shop = self.shop
        steps: list[Step] = []
        if shop.settings.named_context:
            steps.append(FunctionStep("stages", self._look_stages, self._run_stages))
        elif shop.engine_choice[0] is not None:
            steps += [
                FunctionStep("cluster", self._look_cluster, self._run_cluster),
                FunctionStep("registry", self._look_registry, self._run_registry),
                FunctionStep("network", self._look_network, self._run_network),
            ]
        if shop.engine_choice[0] is not None:
            steps.append(FunctionStep("images", self._look_images, self._run_images))
        steps.append(FunctionStep("state", self._look_state, self._run_state))
        if cache:
            steps.append(FunctionStep("cache", self._look_cache, self._run_cache))
        return steps

    def _look_stages(self) -> Verdict:
        found = self._namespaces()
        return Verdict(is_done=not found, reason=", ".join(found) or "no stage is in this cluster")

    def _run_stages(self) -> str:
        found = self._namespaces()
        self._kubectl("delete", "namespace", *found, "--timeout=300s")
        return f"removed {', '.join(found)}; what was pushed to {self.settings.registry} stays there"

    def _look_cluster(self) -> Verdict:
        count = self.shop.cluster.observe().containers
        return Verdict(is_done=not count, reason=f"{count} nodes" if count else "there is none")

    def _run_cluster(self) -> str:
        self.shop.cluster.delete()
        return "removed, with its volumes and its entry in the kubeconfig"

    def _look_registry(self) -> Verdict:
        name = self.settings.registry_name
        found = self.shop.engine.inspect(name) or self.shop.engine.works("volume", "inspect", name)
        return Verdict(is_done=not found, reason=name if found else "there is none")

    def _run_registry(self) -> str:
        self.shop.registry.remove()
        return "removed, with everything pushed to it"

    def _look_network(self) -> Verdict:
        engine = self.shop.engine
        if not engine.works("network", "inspect", NETWORK):
            return Verdict(is_done=True, reason="there is none")
        used = engine.run("ps", "-a", "--filter", f"network={NETWORK}", "--format", "{{.Names}}").split()
        if used:
            return Verdict(is_done=True, reason=f"kept: {', '.join(used)} use it")
        return Verdict(is_done=False, reason=f"{NETWORK} is used by nobody")

    def _run_network(self) -> str:
        self.shop.engine.run("network", "rm", NETWORK)
        return f"removed {NETWORK}"

    def _look_images(self) -> Verdict:
        if self.shop.engine.names(KIND_LABEL):  # not ours: that was removed two steps ago
            return Verdict(is_done=True, reason="kept: a cluster on this machine may need them")
        names = find_images(self.shop.engine, (_OURS, f"{self.settings.registry}/"))
        return Verdict(is_done=not names, reason=f"{len(names)} images" if names else "there are none")

    def _run_images(self) -> str:
        engine = self.shop.engine
        bases = find_images(engine, (f"{_OURS}base:",))
        layers = {engine.layers(name)[0] for name in bases}
        names = find_images(engine, (_OURS, f"{self.settings.registry}/"))
        if engine.has_image(FAMILIAR_NAME) and engine.layers(FAMILIAR_NAME)[0] in layers:
            names.append(FAMILIAR_NAME)
        count = engine.remove_images(*names)
        left = engine.remove_leftovers(layers)
        return f"removed {count} images, and {left} stages of their builds"

    def _look_state(self) -> Verdict:
        exists = self.settings.state.exists()
        return Verdict(is_done=not exists, reason=str(self.settings.state))

    def _run_state(self) -> str:
        state = self.settings.state
        if self.settings.cluster != DEFAULT_CLUSTER or not (state / "clusters").exists():
            shutil.rmtree(state)
            with suppress(OSError):  # others are still there
                state.parent.rmdir()
            return f"removed {state}"
        for path in state.iterdir():  # another cluster of this checkout still has its state here
            if path.name not in ("clusters", "bin"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return f"removed what is in {state}, but for the other clusters of this checkout"

    def _look_cache(self) -> Verdict:
        root = self.settings.cache
        found = root.exists() and any(path.name != "locks" for path in root.iterdir())
        return Verdict(is_done=not found, reason=str(root))

    def _run_cache(self) -> str:
        self.shop.cache.clear()
        return f"removed {self.settings.cache}"

    def _namespaces(self) -> list[str]:
        wanted = {f"namespace/notejam-{stage}" for stage in STAGES}
        found = set(self._kubectl("get", "namespaces", "-o", "name").split())
        return [name.removeprefix("namespace/") for name in sorted(wanted & found)]

    def _kubectl(self, *words: str) -> str:
        return self.shop.shell.run("kubectl", "--context", self.settings.context, *words, timeout=330)


def find_images(engine: Engine, prefixes: tuple[str, ...]) -> list[str]:
    """Names of the stored images that begin with one of these."""
    names = engine.run("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    return sorted({name for name in names if name.startswith(prefixes) and not name.endswith(":<none>")})
