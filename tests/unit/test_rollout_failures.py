"""When a rollout cannot end well or took too long, and what is to blame."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from releaser.core.model import Workload
from releaser.core.rollout import Baseline, Progress, Verdict, describe_timeout, judge
from tests.unit.builders import (
    NOW,
    make_broken,
    make_container,
    make_job,
    make_pod,
    make_waiting_pod,
    make_workload,
    minutes,
    seconds,
)

NOTHING = Baseline({})
"""Nothing was there before."""


def judge_one(*workloads: Workload, before: Baseline = NOTHING, applying: bool = False) -> Verdict:
    return judge(workloads, before, NOW, applying=applying)


@pytest.mark.parametrize(
    ("reason", "progress"),
    [
        ("ErrImagePull", Progress.GOING),
        ("ImagePullBackOff", Progress.FAILED),
        ("InvalidImageName", Progress.FAILED),
        ("ErrImageNeverPull", Progress.FAILED),
    ],
)
def test_one_failed_pull_is_tried_again_but_not_for_ever(reason: str, progress: Progress) -> None:
    workload = make_workload(pods=[make_waiting_pod(reason=reason)], available=0)
    assert judge_one(workload).progress is progress


@pytest.mark.parametrize(
    ("message", "said"), [("manifest unknown", "manifest unknown"), ("", "ImagePullBackOff")]
)
def test_an_image_that_cannot_be_pulled_is_named(message: str, said: str) -> None:
    pod = make_waiting_pod(reason="ImagePullBackOff", message=message, image="registry.test/app:9")
    assert judge_one(make_workload(pods=[pod])) == Verdict(
        Progress.FAILED,
        f"Deployment web: image registry.test/app:9 cannot be pulled: {said}",
        "web",
        "web-1",
        "web",
    )


@pytest.mark.parametrize(
    "reason", ["CreateContainerConfigError", "CreateContainerError", "RunContainerError"]
)
def test_a_container_that_cannot_be_made_has_some_seconds(reason: str) -> None:
    """The Secret that it needs may come a moment after the pod."""
    young = make_waiting_pod(reason=reason, message='secret "db" not found', created=NOW - seconds(15))
    old = replace(young, created=NOW - seconds(16))
    assert judge_one(make_workload(pods=[young], available=0)).progress is Progress.GOING
    verdict = judge_one(make_workload(pods=[old]))
    assert verdict.reason == 'Deployment web: container web cannot start: secret "db" not found'
    assert not verdict.crashed
    without = make_waiting_pod(reason=reason, created=NOW - seconds(16))
    assert judge_one(make_workload(pods=[without])).reason.endswith(f"cannot start: {reason}")


@pytest.mark.parametrize(
    ("crash", "progress"),
    [
        ({"state": "terminated", "reason": "Error", "exit_code": 3, "restarts": 0}, Progress.GOING),
        ({"state": "running", "restarts": 1, "last_exit_code": 3}, Progress.GOING),
        ({"state": "terminated", "reason": "Error", "exit_code": 3, "restarts": 1}, Progress.FAILED),
        ({"reason": "CrashLoopBackOff", "restarts": 1, "last_exit_code": 3}, Progress.FAILED),
        ({"state": "running", "restarts": 7, "last_exit_code": 3}, Progress.GOING),
        ({"state": "terminated", "reason": "Completed", "exit_code": 0, "restarts": 1}, Progress.GOING),
    ],
    ids=["first", "started again", "second", "second, waiting", "runs now", "ended well"],
)
def test_one_crash_is_tolerated_and_the_second_is_not(crash: dict[str, Any], progress: Progress) -> None:
    assert judge_one(make_workload(pods=[make_waiting_pod(**crash)], available=0)).progress is progress


@pytest.mark.parametrize(
    ("crash", "said"),
    [
        ({"reason": "CrashLoopBackOff", "last_exit_code": 3}, "exits with code 3 at every start (3 times)"),
        (
            {"state": "terminated", "reason": "Error", "exit_code": 4, "last_exit_code": 3},
            "exits with code 4 at every start (3 times)",
        ),
        (
            {"reason": "CrashLoopBackOff", "last_reason": "OOMKilled", "last_exit_code": 137},
            "was killed for using too much memory at every start (3 times)",
        ),
        (
            {
                "state": "terminated",
                "reason": "OOMKilled",
                "exit_code": 137,
                "last_reason": "Error",
                "last_exit_code": 1,
            },
            "was killed for using too much memory at every start (3 times)",
        ),
    ],
)
def test_a_crash_says_how(crash: dict[str, Any], said: str) -> None:
    verdict = judge_one(make_workload(pods=[make_waiting_pod(restarts=2, **crash)]))
    assert verdict.reason == f"Deployment web: container web of web-1 {said}"
    assert verdict.crashed
    assert (verdict.workload, verdict.pod, verdict.container) == ("web", "web-1", "web")


@pytest.mark.parametrize(
    "change",
    [{"revision": "old"}, {"is_terminating": True}],
)
def test_a_crashing_pod_of_an_old_template_or_at_its_end_does_not_count(change: dict[str, Any]) -> None:
    crashing = make_waiting_pod("web-0", reason="CrashLoopBackOff", restarts=9, **change)
    verdict = judge_one(make_workload(pods=[crashing, make_pod()], updated=0))
    assert verdict == Verdict(Progress.GOING, "web: 0 of 1 updated, 1 available")


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
@pytest.mark.parametrize(
    "was",
    [
        {"failed": "ProgressDeadlineExceeded: it took too long"},
        {"pods": [make_waiting_pod(reason="CrashLoopBackOff", restarts=9)], "available": 0},
    ],
    ids=["condition", "pod"],
)
def test_what_was_said_before_the_controller_saw_the_change_is_no_failure(
    kind: str, was: dict[str, Any]
) -> None:
    """A promotion that mends a broken workload must not be judged by what it mends."""
    verdict = judge_one(make_workload(kind, observed_generation=1, **was))
    assert verdict == Verdict(Progress.GOING, "web: the controller has not seen the change yet")
    assert judge_one(make_workload(kind, **was)).progress is Progress.FAILED


def test_a_pod_that_was_evicted_is_no_crash() -> None:
    shell = make_waiting_pod("web-0", state="terminated", reason="Error", exit_code=137, restarts=3)
    shell = replace(shell, phase="Failed", reason="Evicted")
    assert judge_one(make_workload(pods=[shell, make_pod()])).progress is Progress.DONE


def test_a_failed_job_names_its_pod() -> None:
    container = make_container("flask", state="terminated", reason="Error", exit_code=1, ready=False)
    pods = [
        make_pod("migrate-a", container, phase="Failed", ready=False, revision=""),
        make_pod("migrate-b", container, phase="Failed", ready=False, revision=""),
    ]
    verdict = judge_one(make_job(pods=pods, failed="BackoffLimitExceeded: it failed twice"))
    assert verdict == Verdict(
        Progress.FAILED,
        "Job migrate: BackoffLimitExceeded: it failed twice",
        "migrate",
        "migrate-a",
        "flask",
    )


def test_a_failed_job_has_no_generation_to_wait_for() -> None:
    assert judge_one(make_job(failed="DeadlineExceeded", observed_generation=0)).progress is Progress.FAILED


def test_every_pod_of_a_job_is_its_newest() -> None:
    crashing = make_waiting_pod("migrate-a", "CrashLoopBackOff", restarts=1, revision="its own")
    assert judge_one(make_job(pods=[crashing])).pod == "migrate-a"


def test_a_job_that_tries_again_goes_on() -> None:
    container = make_container("flask", state="terminated", reason="Error", exit_code=1, ready=False)
    pods = [make_pod("migrate-a", container, phase="Failed", ready=False, revision="")]
    assert judge_one(make_job(pods=pods)) == Verdict(Progress.GOING, "migrate: runs; migrate-a says Error")


def test_a_deployment_says_why_it_gave_up() -> None:
    verdict = judge_one(make_workload(failed="ReplicaFailure: exceeded quota", updated=0, pods=[]))
    assert verdict == Verdict(Progress.FAILED, "Deployment web: ReplicaFailure: exceeded quota", "web")


def test_a_failure_is_said_before_what_goes_on() -> None:
    verdict = judge_one(make_workload("StatefulSet", "db", updated=0), make_broken())
    assert (verdict.progress, verdict.workload) == (Progress.FAILED, "web")


# --- out of time ---


def time_out(*workloads: Workload, before: Baseline = NOTHING, applying: bool = False) -> Verdict:
    return describe_timeout(workloads, before, minutes(5), applying=applying)


def test_a_timeout_names_the_pod_that_is_not_ready() -> None:
    pods = [make_pod("web-1"), make_waiting_pod("web-2", state="running")]
    assert time_out(make_workload(desired=2, pods=pods, available=1)) == Verdict(
        Progress.FAILED,
        "Deployment web is not rolled out after 300 s: "
        "2 of 2 updated, 1 available; web-2 runs but is not ready",
        "web",
        "web-2",
        "web",
    )


def test_a_timeout_names_a_pod_that_lives_before_one_that_was_evicted() -> None:
    shell = replace(make_waiting_pod("web-1"), phase="Failed", reason="Evicted")
    pods = [shell, make_waiting_pod("web-2", state="running")]
    assert time_out(make_workload(pods=pods, available=0)).pod == "web-2"


def test_a_timeout_of_a_job_names_the_pod_that_still_runs() -> None:
    done = make_pod("migrate-a", phase="Succeeded", ready=False, revision="its own")
    flask = make_container("flask", ready=False)
    waits = make_pod("migrate-b", flask, ready=False, revision="its own")
    verdict = time_out(make_job(pods=[done, waits]))
    assert (
        verdict.reason == "Job migrate is not rolled out after 300 s: runs; migrate-b runs but is not ready"
    )
    assert (verdict.pod, verdict.container) == ("migrate-b", "flask")


def test_a_timeout_names_the_pod_for_which_there_is_no_room() -> None:
    pending = replace(make_waiting_pod("web-1"), containers=(), unschedulable="0/3 nodes: too little memory")
    verdict = time_out(make_workload(pods=[pending], available=0))
    assert verdict.reason.endswith("web-1 cannot be scheduled: 0/3 nodes: too little memory")
    assert (verdict.pod, verdict.container) == ("web-1", "")


def test_a_timeout_names_the_first_workload_that_is_not_done() -> None:
    verdict = time_out(make_workload("StatefulSet", "db"), make_workload(updated=0))
    assert verdict.workload == "web"


def test_a_timeout_does_not_blame_a_job_that_was_there_before() -> None:
    old = make_job("migrate", failed="BackoffLimitExceeded")
    verdict = time_out(old, make_workload(updated=0), before=Baseline.of([old]))
    assert verdict.workload == "web"


def test_a_timeout_blames_helm_when_all_it_touched_is_done() -> None:
    before = Baseline.of([make_broken()])
    verdict = time_out(make_broken(), before=before, applying=True)
    assert verdict == Verdict(Progress.FAILED, "helm did not end within 300 s")


def test_the_container_that_is_not_ready_is_looked_at() -> None:
    containers = (
        make_container(
            "wait", state="terminated", exit_code=0, ready=False, is_init=True, reason="Completed"
        ),
        make_container("proxy"),
        make_container("web", ready=False),
    )
    workload = make_workload(pods=[make_pod("web-1", *containers, ready=False)], available=0)
    verdict = describe_timeout([workload], NOTHING, minutes(5), applying=False)
    assert (verdict.pod, verdict.container) == ("web-1", "web")
