"""When a rollout goes on, is done, or cannot end well."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from releaser.core.model import Pod, Workload
from releaser.core.rollout import Baseline, Progress, Verdict, judge
from tests.unit.builders import (
    NOW,
    make_broken,
    make_container,
    make_job,
    make_pod,
    make_waiting_pod,
    make_workload,
    minutes,
)

NOTHING = Baseline({})
"""Nothing was there before."""


def judge_one(*workloads: Workload, before: Baseline = NOTHING, applying: bool = False) -> Verdict:
    return judge(workloads, before, NOW, applying=applying)


def make_old(**changes: Any) -> Pod:
    return make_pod("web-old", **{"revision": "old", **changes})


# --- done ---


def test_everything_new_and_available_is_done() -> None:
    verdict = judge_one(make_workload(desired=3), make_workload("StatefulSet", "db", desired=2))
    assert verdict == Verdict(Progress.DONE, "web 3 of 3 available; db 2 of 2 available")


def test_a_release_without_workloads_is_done() -> None:
    assert judge_one() == Verdict(Progress.DONE, "no workloads")


def test_a_workload_scaled_to_nothing_is_done() -> None:
    assert judge_one(make_workload(desired=0)).progress is Progress.DONE


def test_a_completed_job_is_done() -> None:
    assert judge_one(make_job(is_complete=True)) == Verdict(Progress.DONE, "migrate completed")


# --- going on ---


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
@pytest.mark.parametrize(
    ("status", "missing"),
    [
        ({"updated": 1}, "1 of 3 updated, 3 available"),
        ({"updated": 0}, "0 of 3 updated, 3 available"),
        ({"available": 2}, "3 of 3 updated, 2 available"),
        ({"available": 0}, "3 of 3 updated, 0 available"),
        ({"observed_generation": 1}, "the controller has not seen the change yet"),
        ({"total": 4}, "all updated, 1 old pods to end"),
    ],
)
def test_a_workload_that_lacks_something_is_not_done(kind: str, status: dict[str, Any], missing: str) -> None:
    """The first is what client libraries have called ready: one of three updated, all available."""
    verdict = judge_one(make_workload(kind, desired=3, **status))
    assert verdict == Verdict(Progress.GOING, f"web: {missing}")


@pytest.mark.parametrize("is_terminating", [False, True])
def test_a_pod_of_the_old_template_must_be_gone(is_terminating: bool) -> None:
    verdict = judge_one(make_workload(pods=[make_pod(), make_old(is_terminating=is_terminating)]))
    assert verdict == Verdict(Progress.GOING, "web: all updated, 1 old pods to end")


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_the_shell_of_an_evicted_old_pod_may_stay(phase: str) -> None:
    shell = make_old(phase=phase, reason="Evicted", ready=False)
    assert judge_one(make_workload(pods=[make_pod(), shell])).progress is Progress.DONE


def test_while_the_newest_revision_is_not_known_no_pod_is_called_old() -> None:
    assert judge_one(make_workload(pods=[make_old()], revision="")).progress is Progress.DONE


def test_all_that_goes_on_is_named() -> None:
    verdict = judge_one(make_workload(available=0), make_workload("StatefulSet", "db", updated=0))
    assert verdict.reason == "web: 1 of 1 updated, 0 available; db: 0 of 1 updated, 1 available"


@pytest.mark.parametrize(
    ("pod", "what"),
    [
        (make_waiting_pod(reason="ContainerCreating"), "web-1 starts"),
        (make_waiting_pod(reason="PodInitializing"), "web-1 starts"),
        (make_waiting_pod(), "web-1 starts"),
        (
            replace(make_waiting_pod(state="running"), phase="Running", reason="NodeLost"),
            "web-1 runs but is not ready",
        ),
        (make_waiting_pod(reason="ErrImagePull", message="manifest unknown"), "web-1 says ErrImagePull"),
        (make_waiting_pod(state="running"), "web-1 runs but is not ready"),
        (
            make_pod("web-1", make_container("wait", ready=False, is_init=True), ready=False),
            "web-1 is still in init container wait",
        ),
        (make_waiting_pod(state="terminated", reason="Error", exit_code=1), "web-1 says Error"),
        (
            replace(make_waiting_pod(), containers=(), unschedulable="0/3 nodes are available"),
            "web-1 cannot be scheduled: 0/3 nodes are available",
        ),
        (
            make_pod(ready=False, phase="Failed", reason="Evicted"),
            "web-1 was ended: Evicted",
        ),
    ],
)
def test_what_a_pod_waits_for_is_said(pod: Pod, what: str) -> None:
    verdict = judge_one(make_workload(pods=[pod], available=0))
    assert verdict == Verdict(Progress.GOING, f"web: 1 of 1 updated, 0 available; {what}")


def test_a_pod_that_was_not_made_yet_has_nothing_to_say() -> None:
    assert judge_one(make_workload(pods=[], available=0)).reason == "web: 1 of 1 updated, 0 available"
    shell = make_pod(ready=False)
    no_container = replace(shell, containers=())
    assert judge_one(make_workload(pods=[no_container], available=0)).reason.endswith("0 available")


# --- what counts ---


def test_while_helm_is_at_work_only_what_it_has_touched_counts() -> None:
    before = Baseline.of([make_broken()])
    assert judge_one(make_broken(), before=before, applying=True) == Verdict(
        Progress.GOING, "helm is at work"
    )
    assert judge_one(make_broken(generation=3), before=before, applying=True).progress is Progress.FAILED
    assert judge_one(make_broken(uid="new"), before=before, applying=True).progress is Progress.FAILED


def test_after_helm_has_ended_everything_counts() -> None:
    assert judge_one(make_broken(), before=Baseline.of([make_broken()])).progress is Progress.FAILED


def test_helm_is_waited_for_when_all_it_touched_is_done() -> None:
    assert judge_one(make_workload(), applying=True) == Verdict(Progress.GOING, "helm is at work")


@pytest.mark.parametrize("applying", [True, False])
@pytest.mark.parametrize("generation", [2, 3], ids=["as it was", "being deleted"])
def test_a_job_that_was_there_before_never_counts(applying: bool, generation: int) -> None:
    old = make_job(failed="BackoffLimitExceeded")
    before = Baseline.of([old])
    verdict = judge_one(replace(old, generation=generation), before=before, applying=applying)
    assert verdict.progress is (Progress.GOING if applying else Progress.DONE)
    assert verdict.reason == ("helm is at work" if applying else "no workloads")


@pytest.mark.parametrize("applying", [True, False])
def test_a_job_of_the_same_name_made_anew_counts(applying: bool) -> None:
    before = Baseline.of([make_job(uid="first")])
    new = make_job(uid="second", failed="BackoffLimitExceeded: it failed twice")
    verdict = judge_one(new, before=before, applying=applying)
    assert verdict.reason == "Job migrate: BackoffLimitExceeded: it failed twice"


# --- StatefulSets that replace no pod by themselves ---


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ({"updated": 0}, Verdict(Progress.DONE, "web 3 of 3 available")),
        ({"updated": 0, "ready": 2}, Verdict(Progress.GOING, "web: 2 of 3 ready")),
        (
            {"updated": 0, "observed_generation": 1},
            Verdict(Progress.GOING, "web: the controller has not seen the change yet"),
        ),
    ],
)
def test_on_delete_only_readiness_is_waited_for(status: dict[str, Any], verdict: Verdict) -> None:
    pods = [make_pod(f"db-{number}", revision="old") for number in range(3)]
    workload = make_workload("StatefulSet", desired=3, pods=pods, is_on_delete=True, **status)
    assert judge_one(workload) == verdict


# --- properties ---

PODS = st.builds(
    make_waiting_pod,
    st.sampled_from(["web-1", "web-2", "web-3"]),
    st.sampled_from(["", "ErrImagePull", "ImagePullBackOff", "CrashLoopBackOff", "ContainerCreating"]),
    revision=st.sampled_from(["old", "new"]),
    is_terminating=st.booleans(),
    restarts=st.integers(0, 3),
)
COUNTS = st.integers(0, 4)


@given(
    st.sampled_from(["Deployment", "StatefulSet"]),
    COUNTS,
    COUNTS,
    COUNTS,
    COUNTS,
    COUNTS,
    st.lists(PODS),
    st.booleans(),
)
def test_nothing_is_done_while_a_newest_pod_is_missing(
    kind: str,
    desired: int,
    updated: int,
    available: int,
    total: int,
    observed: int,
    pods: list[Pod],
    applying: bool,
) -> None:
    workload = make_workload(
        kind,
        pods=pods,
        desired=desired,
        updated=updated,
        available=available,
        total=total,
        observed_generation=observed,
    )
    if judge_one(workload, applying=applying).progress is Progress.DONE:
        assert not applying
        assert updated >= desired
        assert available >= desired
        assert total <= desired
        assert observed >= workload.generation
        assert not [pod for pod in pods if pod.revision == "old"]


@given(st.lists(PODS), st.booleans())
def test_a_workload_with_no_pods_of_the_newest_template_is_no_failure(
    pods: list[Pod], applying: bool
) -> None:
    old = [replace(pod, revision="old") for pod in pods]
    assert judge_one(make_workload(pods=old), applying=applying).progress is not Progress.FAILED


@given(
    st.permutations([make_workload(), make_workload("StatefulSet", "db", updated=0), make_broken(name="bad")])
)
def test_a_failure_is_found_wherever_it_stands(workloads: list[Workload]) -> None:
    assert judge_one(*workloads).workload == "bad"


@given(st.lists(PODS), st.booleans())
def test_time_alone_turns_nothing_done_and_no_failure_back(pods: list[Pod], applying: bool) -> None:
    workload = make_workload(pods=pods, available=0)
    now = judge([workload], NOTHING, NOW, applying=applying).progress
    later = judge([workload], NOTHING, NOW + minutes(5), applying=applying).progress
    assert later is not Progress.DONE
    assert now is not Progress.FAILED or later is Progress.FAILED
