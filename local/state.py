"""What to do about the cluster, from what was seen of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from local.settings import NODE_COUNT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Action(Enum):
    """What can be done."""

    KEEP = "keep"
    WAIT = "wait"
    START = "start"
    CREATE = "create"
    RECREATE = "recreate"


@dataclass(frozen=True)
class ClusterFacts:
    """One look at the cluster."""

    containers: int
    """Containers of the cluster that the engine knows."""
    alive: int = 0
    """Those whose process lives, whatever the engine's record says."""
    half_made: bool = False
    """A run was stopped while it made the cluster."""
    answers: bool = False
    """The API server answers."""
    ready: int = 0
    """Nodes that are Ready."""
    outdated: bool = False
    """The nodes come from an older recipe than the one that would make them now."""


@dataclass(frozen=True)
class Decision:
    """What is done, and why in words for the user."""

    action: Action
    reason: str


def decide(facts: ClusterFacts, *, strict: bool = False) -> Decision:
    """Decide what brings the cluster to life with the least loss.

    `strict` is for tests: they take no cluster that has died or that an older recipe made.
    """
    dead = NODE_COUNT - facts.alive
    rules = (
        (not facts.containers, Action.CREATE, "there is no cluster yet"),
        (facts.half_made, Action.RECREATE, "an earlier run was stopped while it made the cluster"),
        (strict and facts.outdated, Action.RECREATE, "its nodes were made from an older recipe"),
        (facts.containers != NODE_COUNT, Action.RECREATE, f"{facts.containers} of {NODE_COUNT} nodes exist"),
        (strict and dead > 0, Action.RECREATE, f"{dead} of {NODE_COUNT} nodes have died"),
        (dead > 0, Action.START, f"{dead} of {NODE_COUNT} nodes do not run"),
        (not facts.answers, Action.WAIT, "the nodes run, but the API server does not answer"),
        (facts.ready < NODE_COUNT, Action.WAIT, f"{facts.ready} of {NODE_COUNT} nodes are Ready"),
    )
    for applies, action, reason in rules:
        if applies:
            return Decision(action, reason)
    return Decision(Action.KEEP, f"all {NODE_COUNT} nodes are Ready")


def count_ready(nodes: Mapping[str, object]) -> int:
    """Count the Ready nodes in what `kubectl get nodes -o json` prints."""
    items = nodes.get("items")
    count = 0
    for node in items if isinstance(items, list) else []:
        conditions = node.get("status", {}).get("conditions", [])
        if any(item["type"] == "Ready" and item["status"] == "True" for item in conditions):
            count += 1
    return count


def list_unsettled(pods: Mapping[str, Any], nodes: Sequence[str], since: datetime) -> list[str]:
    """Name the pods on these nodes that have not started anew since then, or are not ready.

    The API server repeats what a node said before it died until the node speaks again: "ready" alone proves
    nothing about a pod whose containers are older than the node's own start.
    """
    left = []
    for pod in pods["items"]:
        status = pod.get("status", {})
        if pod["spec"].get("nodeName") not in nodes or status.get("phase") in ("Succeeded", "Failed"):
            continue
        containers = status.get("containerStatuses", [])
        if not containers or not all(_started_since(container, since) for container in containers):
            left.append(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}")
    return left


def _started_since(container: Mapping[str, Any], since: datetime) -> bool:
    running = container.get("state", {}).get("running") or {}
    started = running.get("startedAt")
    return bool(started and container.get("ready") and datetime.fromisoformat(started) >= since)
