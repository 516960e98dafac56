"""Brings the cluster to life: which node image, and what to do about a cluster that is not well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.errors import CommandError
from local.node import PUBLISHED_NODE
from local.state import Action, decide

if TYPE_CHECKING:
    from local.workshop import Workshop

_READY_SECONDS = 180


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
    image, why = shop.node
    cluster.create(image, built=image != PUBLISHED_NODE)
    if not cluster.wait_ready(_READY_SECONDS):
        cluster.fail_not_ready()
    return f"{told}, kind with {why}"


def _is_ready(shop: Workshop) -> bool:
    if not shop.cluster.has_context():
        shop.cluster.export_kubeconfig()
    return shop.cluster.wait_ready()
