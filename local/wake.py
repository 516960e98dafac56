"""Brings the cluster to life: which node image, and what to do about a cluster that is not well."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from local.errors import CommandError
from local.node import PUBLISHED_NODE
from local.state import Action, Decision, decide

if TYPE_CHECKING:
    from local.workshop import Workshop

_READY_SECONDS = 180


def decide_cluster(shop: Workshop) -> Decision:
    """Look at the cluster and decide what to do about it."""
    facts = shop.cluster.observe()
    if facts.containers:
        facts = replace(facts, outdated=shop.cluster.is_outdated(shop.node_image.tag))
    decision = decide(facts, strict=shop.settings.strict)
    if decision.action is Action.KEEP and facts.outdated:
        shop.console.note("its nodes were made from an older recipe; for new ones: make down, then make up")
    return decision


def bring_up_cluster(shop: Workshop) -> str:
    """Do what the state of the cluster asks for, ending with every node Ready."""
    cluster = shop.cluster
    decision = decide_cluster(shop)
    told = "made"
    if decision.action is Action.WAIT and _is_ready(shop):
        return "every node is Ready again"
    if decision.action is Action.START:
        shop.console.note("starting the nodes that do not run")
        try:
            # Kubernetes tells times in whole seconds.
            since = datetime.now(UTC).replace(microsecond=0)
            nodes = cluster.start()
            if _is_ready(shop):
                shop.console.note("waiting for its pods to start again")
                left = cluster.wait_settled(nodes, since)
                return f"woken; not ready yet: {', '.join(left)}" if left else "woken, with everything in it"
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
