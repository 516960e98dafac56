"""Brings the cluster to life: which node image, and what to do about a cluster that is not well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.errors import CommandError
from local.state import Action, decide

if TYPE_CHECKING:
    from local.workshop import Workshop

# Kubernetes 1.34, from the release notes of the kind version in local/go/kind/go.mod.
PUBLISHED_NODE = (
    "docker.io/kindest/node:v1.34.11@sha256:44e222ee2132dab25ff87301682f89eb82c7880ea3a1bf543bfe9708fd08d67d"
)
_TRIAL_IMAGE = "registry.k8s.io/pause:3.10.1"
_READY_SECONDS = 180


def choose_node_image(shop: Workshop) -> tuple[str, str]:
    """Return the node image, there for use, and why it is that one."""
    engine = shop.engine
    if engine.has_image(PUBLISHED_NODE):
        return PUBLISHED_NODE, f"the published node image, with {engine.name}"
    if engine.can_pull(_TRIAL_IMAGE) and engine.pull(PUBLISHED_NODE):
        return PUBLISHED_NODE, f"the published node image, pulled with {engine.name}"
    shop.console.note(
        "no image can be pulled here: the node image is made from Debian packages and Go modules"
    )
    tag = shop.node_image.make()
    return tag, f"{tag}, made from Debian packages and Go modules"


def bring_up_cluster(shop: Workshop) -> str:
    """Do what the state of the cluster asks for, ending with every node Ready."""
    cluster = shop.cluster
    decision = decide(cluster.observe())
    told = "made"
    if decision.action is Action.WAIT and _is_ready(shop):
        return "every node is Ready again"
    if decision.action is Action.START:
        shop.console.note("starting the nodes that do not run")
        try:
            cluster.start()
            if _is_ready(shop):
                return "woken, with everything in it"
        except CommandError as error:
            shop.console.note(f"they cannot be started: {error}")
    if decision.action is not Action.CREATE:
        shop.console.note("making the cluster anew: what was in it is lost")
        cluster.delete()
        told = "made anew"
    image, why = choose_node_image(shop)
    cluster.create(image, built=image != PUBLISHED_NODE)
    if not cluster.wait_ready(_READY_SECONDS):
        cluster.fail_not_ready()
    return f"{told}, kind with {why}"


def _is_ready(shop: Workshop) -> bool:
    if not shop.cluster.has_context():
        shop.cluster.export_kubeconfig()
    return shop.cluster.wait_ready()
