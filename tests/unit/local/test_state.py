from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.settings import NODE_COUNT
from local.state import Action, ClusterFacts, count_ready, decide, list_unsettled


@pytest.mark.parametrize(
    ("facts", "action", "reason"),
    [
        (ClusterFacts(0), Action.CREATE, "no cluster"),
        (ClusterFacts(0, half_made=True), Action.CREATE, "no cluster"),
        (ClusterFacts(2, 2, half_made=True), Action.RECREATE, "stopped while it made"),
        (ClusterFacts(4, 4, half_made=True), Action.RECREATE, "stopped while it made"),
        (ClusterFacts(3, 3), Action.RECREATE, "3 of 4 nodes exist"),
        (ClusterFacts(4, 4, answers=True, ready=4, outdated=True), Action.KEEP, "all 4 nodes are Ready"),
        (ClusterFacts(4, 0), Action.START, "4 of 4 nodes do not run"),
        (ClusterFacts(4, 3), Action.START, "1 of 4 nodes do not run"),
        (ClusterFacts(4, 4), Action.WAIT, "does not answer"),
        (ClusterFacts(4, 4, answers=True, ready=3), Action.WAIT, "3 of 4 nodes are Ready"),
        (ClusterFacts(4, 4, answers=True, ready=4), Action.KEEP, "all 4 nodes are Ready"),
    ],
)
def test_what_is_done_about_a_cluster(facts: ClusterFacts, action: Action, reason: str) -> None:
    decision = decide(facts)
    assert decision.action is action
    assert reason in decision.reason


@pytest.mark.parametrize(
    ("facts", "action", "reason"),
    [
        (ClusterFacts(0), Action.CREATE, "no cluster"),
        (ClusterFacts(4, 4, answers=True, ready=4), Action.KEEP, "all 4 nodes are Ready"),
        (ClusterFacts(4, 4, answers=True, ready=4, outdated=True), Action.RECREATE, "older recipe"),
        (ClusterFacts(4, 3), Action.RECREATE, "1 of 4 nodes have died"),
        (ClusterFacts(4, 4), Action.WAIT, "does not answer"),
    ],
)
def test_tests_take_no_cluster_that_died_or_is_old(facts: ClusterFacts, action: Action, reason: str) -> None:
    decision = decide(facts, strict=True)
    assert decision.action is action
    assert reason in decision.reason


def test_only_a_whole_cluster_is_kept() -> None:
    for containers in range(NODE_COUNT + 1):
        for alive in range(containers + 1):
            for ready in range(alive + 1):
                for answers in (False, True):
                    facts = ClusterFacts(containers, alive, answers=answers, ready=ready if answers else 0)
                    whole = containers == alive == ready == NODE_COUNT and answers
                    assert (decide(facts).action is Action.KEEP) == whole, facts


def test_ready_nodes_are_counted() -> None:
    def node(status: str) -> dict[str, object]:
        return {"status": {"conditions": [{"type": "Ready", "status": status}]}}

    nodes = {"items": [node("True"), node("Unknown"), node("False"), {"status": {}}]}
    assert count_ready(nodes) == 1
    assert count_ready({}) == 0


WOKEN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def pod(name: str, *, node: str = "worker", phase: str = "Running", **container: Any) -> dict[str, Any]:
    after = (WOKEN + timedelta(seconds=container.get("after", 5))).strftime("%Y-%m-%dT%H:%M:%SZ")
    state = {"running": {"startedAt": after}} if container.get("runs", True) else {"waiting": {}}
    return {
        "metadata": {"namespace": "web", "name": name},
        "spec": {"nodeName": node},
        "status": {
            "phase": phase,
            "containerStatuses": [{"ready": container.get("ready", True), "state": state}],
        },
    }


def test_after_waking_a_pod_counts_once_it_has_started_anew_and_is_ready() -> None:
    pods = [
        pod("well"),
        pod("well-at-once", after=0),
        pod("told-before-the-node-died", after=-1),
        pod("starting", runs=False),
        pod("not-ready", ready=False),
        pod("elsewhere", node="other", after=-1),
        pod("job", phase="Succeeded", runs=False),
    ]
    unsettled = ["web/told-before-the-node-died", "web/starting", "web/not-ready"]
    assert list_unsettled({"items": pods}, ["worker"], WOKEN) == unsettled


def test_a_pod_without_containers_yet_is_not_settled() -> None:
    bare = {"metadata": {"namespace": "web", "name": "new"}, "spec": {"nodeName": "worker"}}
    assert list_unsettled({"items": [bare]}, ["worker"], WOKEN) == ["web/new"]
