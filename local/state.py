"""What to do about the cluster, from what was seen of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from local.settings import NODE_COUNT

if TYPE_CHECKING:
    from collections.abc import Mapping


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


@dataclass(frozen=True)
class Decision:
    """What is done, and why in words for the user."""

    action: Action
    reason: str


def decide(facts: ClusterFacts) -> Decision:
    """Decide what brings the cluster to life with the least loss."""
    dead = NODE_COUNT - facts.alive
    rules = (
        (not facts.containers, Action.CREATE, "there is no cluster yet"),
        (facts.half_made, Action.RECREATE, "an earlier run was stopped while it made the cluster"),
        (facts.containers != NODE_COUNT, Action.RECREATE, f"{facts.containers} of {NODE_COUNT} nodes exist"),
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
