"""The Job of `helm upgrade`: brings a running cluster to what the values say, replicas first.

Volumes are grown, Patroni's settings changed, pods of the old kind replaced and, where only a setting asks
for it, Postgres restarted: one member at a time, and the primary's role moves once. It can be stopped and run
again at any point: nothing is remembered, everything is looked at.

Exit code 0: done. 1: something was in the way, and the Job begins again. 2: it cannot be done; what was not
touched yet still runs as before. 3: not done in time. After 2 and 3 the Job does not begin again.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pgha.disk import SETTING
from pgha.keeper import ANNOTATION
from pgha.kube import Api, tell
from pgha.patroni import PORT, Member, Patroni, PatroniError, fingerprint, tls_context
from pgha.pods import configs, read_pod
from pgha.steps import Action, Facts, HopelessError, Pod, Step, next_step
from pgha.volumes import grow

WISHES = Path("/etc/postgres-ha/rollout")
AGAIN, CANNOT, TOO_LATE = 1, 2, 3
PAUSE = 1.0
SILENCE = 30.0
SETTLE_SECONDS = 3.0
# How long a pod may fail to start before it is called hopeless, and a member not follow before it is stuck.
PATIENCE = 60.0
SWITCHOVER_ATTEMPTS = 3
# kube-proxy lets a change wait for a second after the one before: a switchover right after a member became
# ready would pause writes for that second.
CALM_SECONDS = 2.0
# What Patroni says of a member whose server ends at its start.
FAILED = "start failed"
RUNS = frozenset(("running", "streaming", "in archive recovery"))
DOES_NOT_START = "its Postgres ends at every start"
LOOK = {DOES_NOT_START: "kubectl logs -c postgres"}


def make_patch(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to change so that the settings are those wanted; settings nobody wants are removed."""
    patch = {key: value for key, value in wanted.items() if key != "postgresql" and current.get(key) != value}
    have, want = current.get("postgresql") or {}, wanted["postgresql"]
    postgresql: dict[str, Any] = {
        key: value for key, value in want.items() if key != "parameters" and have.get(key) != value
    }
    old, new = have.get("parameters") or {}, want["parameters"]
    parameters = {key: value for key, value in new.items() if old.get(key) != value}
    # What the disk guard has set, it takes away itself.
    parameters |= {key: None for key in old if key not in new and key != SETTING}
    if parameters:
        postgresql["parameters"] = parameters
    if postgresql:
        patch["postgresql"] = postgresql
    return patch


class Rollout:
    """One run."""

    def __init__(self, api: Api, name: str, release: str, credentials: str, deadline: float) -> None:
        self._api, self._name, self._release = api, name, release
        self._credentials, self._deadline = credentials, deadline
        self._tls, self._certificates = tls_context(), fingerprint()
        self._restarted: set[str] = set()
        self._failed_switchovers = 0
        self._pods: list[Pod] = []
        self._said, self._said_at = "", 0.0
        self._trouble_since: dict[str, float] = {}
        self._lost_since: dict[str, float] = {}
        self._settled_at = 0.0
        self._ready: frozenset[str] = frozenset()
        self._calm_at = 0.0
        self._counts = True
        self.switchovers = 0

    def say(self, text: str) -> None:
        """Print what is new at once, and the same again after a while of silence."""
        now = time.monotonic()
        if text != self._said or now - self._said_at > SILENCE:
            print(text, flush=True)  # noqa: T201 - the Job's log is its voice
            self._said, self._said_at = text, now

    def run(self, wishes: Mapping[str, Any]) -> None:
        """Do everything; raise TimeoutError or HopelessError."""
        self._counts = wishes["dynamic"]["synchronous_mode"] != "off"
        sizes, members = wishes["volumes"], int(wishes["members"])
        self.until(lambda: grow(self._api, self._name, sizes, members, self.say))
        self.until(lambda: self.change_settings(wishes["dynamic"], is_install=bool(wishes.get("isInstall"))))
        # New roles must be there before the members that log in with them. An extension may be one that only
        # the new pods have, or that needs a setting which waits for a restart.
        self.until(lambda: self.keeper_told("roles", wishes["version"]))
        self.until(self.advance)
        self.until(lambda: self.keeper_told("version", wishes["version"]))
        self.say(f"done, the primary moved {self.switchovers} times")

    def until(self, work: Any) -> None:
        """Repeat until it says that there is no more to do; a failing call is repeated, too."""
        while not self._attempt(work):
            if time.monotonic() > self._deadline:
                raise TimeoutError(f"not done in time; last: {self._said}")
            time.sleep(PAUSE)

    def _attempt(self, work: Any) -> bool:
        try:
            return bool(work())
        except (OSError, ValueError) as error:
            self.say(f"again in a moment: {error}")
            return False

    def look(self) -> Facts:
        """See pods and members."""
        self._follow_certificates()
        found = self._api.find(f"/statefulsets/{self._name}", "apps/v1")
        if found is None:
            raise HopelessError(f"there is no StatefulSet {self._name}")
        status = found.get("status", {})
        if status.get("observedGeneration", 0) < found["metadata"]["generation"]:
            raise OSError("the StatefulSet's controller has not seen the change yet")
        selector = ",".join(
            f"{key}={value}" for key, value in found["spec"]["selector"]["matchLabels"].items()
        )
        wanted = int(found["spec"]["replicas"])
        pods = [read_pod(pod, status["updateRevision"]) for pod in self._api.pods(selector)]
        members = [member for member in self._members(pods) if member.ordinal < wanted]
        failed = {member.name for member in members if member.state == FAILED}
        self._pods = [
            replace(pod, trouble=pod.trouble or DOES_NOT_START) if pod.name in failed else pod
            for pod in pods
            if pod.ordinal < wanted
        ]
        ready = frozenset(pod.uid for pod in self._pods if pod.is_ready)
        if ready != self._ready:
            self._ready, self._calm_at = ready, time.monotonic() + CALM_SECONDS
        cannot = self._failed_switchovers >= SWITCHOVER_ATTEMPTS
        restarted = frozenset(self._restarted)
        facts = Facts(wanted, self._pods, members, restarted, cannot_hand_over=cannot, counts=self._counts)
        return replace(facts, stuck=self._stuck(facts))

    def _stuck(self, facts: Facts) -> frozenset[str]:
        """Name the members that have not followed for long; one that is far behind still follows."""
        now = time.monotonic()
        following = {item.name for item in facts.members if item.is_leader or item.is_streaming}
        lost = {pod.uid: pod.name for pod in self._pods if pod.name not in following}
        self._lost_since = {uid: self._lost_since.get(uid, now) for uid in lost}
        return frozenset(name for uid, name in lost.items() if now - self._lost_since[uid] > PATIENCE)

    def _patroni(self, pod: Pod) -> Patroni:
        return Patroni(pod.host, PORT, self._credentials, self._tls if pod.is_tls else None)

    def _follow_certificates(self) -> None:
        """Take up new files, as the members do: with them may come another authority."""
        found = fingerprint()
        if found != self._certificates:
            self._tls, self._certificates = tls_context(), found

    def _reach(self, pods: Iterable[Pod]) -> Iterator[Patroni]:
        return (self._patroni(pod) for pod in pods if pod.host and not pod.is_ending)

    def _members(self, pods: Iterable[Pod]) -> list[Member]:
        for patroni in self._reach(pods):
            try:
                members = patroni.members()
            except OSError:
                continue
            if members:
                return members
        return []

    def _leader(self) -> Pod:
        facts = self.look()
        pod = next((pod for pod in self._pods if facts.leader and pod.name == facts.leader.name), None)
        if pod is None:
            self._check_pause("no member leads")
            self._check_trouble()
            step = next_step(facts)
            if step.action is Action.REPLACE:
                # There is nothing to spare, and what is of the old kind may be the cause.
                self._take(step)
            raise OSError("no member leads")
        return pod

    def _settings(self) -> tuple[Patroni, dict[str, Any]]:
        """Return a Patroni, the leader's if any leads, and what is stored: that may be why nobody does."""
        facts = self.look()
        leads = facts.leader.name if facts.leader else ""
        try:
            return self._stored(sorted(self._pods, key=lambda pod: pod.name != leads))
        except OSError:
            self._check_trouble()
            raise

    def _stored(self, pods: Iterable[Pod]) -> tuple[Patroni, dict[str, Any]]:
        """Return the first Patroni that answers, and what is stored; raise OSError if none does."""
        said: OSError = OSError("no member has an address")
        for patroni in self._reach(pods):
            try:
                return patroni, patroni.config()
            except OSError as error:
                said = error
        raise said

    def change_settings(self, dynamic: Mapping[str, Any], *, is_install: bool = False) -> bool:
        """Bring Patroni's stored settings to those of the values; an install ends a pause of before."""
        patroni, stored = self._settings()
        patch = make_patch(stored, dynamic)
        if is_install and stored.get("pause") and not any(one.state in RUNS for one in patroni.members()):
            # It was kept with the volumes, and nothing would start. A rollback to the first revision looks
            # alike, but there something runs.
            patch["pause"] = None
        if patch:
            patroni.patch_config(patch)
            # Each member reads them in its next loop, and only then says whether it must restart.
            self._settled_at = time.monotonic() + float(dynamic["loop_wait"]) + SETTLE_SECONDS
            self.say(f"settings changed: {json.dumps(patch, sort_keys=True)}")
        return True

    def keeper_told(self, key: str, version: str) -> bool:
        """Whether the primary's pod says that `roles`, or all that is declared, have this version."""
        pod = self._leader()
        if not pod.has_keeper:
            return True
        self._check_trouble()
        found = self._api.call("GET", f"/pods/{pod.name}")
        told = json.loads(found["metadata"].get("annotations", {}).get(ANNOTATION, "{}"))
        # A keeper from before this key tells only when it has done everything.
        if told.get(key, told.get("version")) == version:
            return True
        if key == "roles" and self._is_of_no_use(pod, found):
            self.say(f"{pod.name} cannot tell whether roles are there: {pod.trouble}")
            return True
        problems = "; ".join(told.get("problems", [])) or "no answer yet"
        self.say(f"waiting for {'roles' if key == 'roles' else 'roles and databases'}: {problems}")
        return False

    def _is_of_no_use(self, pod: Pod, found: Mapping[str, Any]) -> bool:
        """Whether the keeper of this pod ends at every start, and only a pod of the new kind can mend that.

        Not where Patroni's settings change as well: with them may come logins that nobody has made.
        """
        if pod.is_updated or not pod.has_keeper_trouble or not self._has_long_trouble(pod):
            return False
        wanted = self._api.find(f"/statefulsets/{self._name}", "apps/v1") or {}
        return bool(wanted) and configs(found["spec"]) == configs(wanted["spec"]["template"]["spec"])

    def _has_long_trouble(self, pod: Pod) -> bool:
        if not pod.trouble:
            self._trouble_since.pop(pod.uid, None)
            return False
        now = time.monotonic()
        return now - self._trouble_since.setdefault(pod.uid, now) > PATIENCE

    def _check_trouble(self) -> None:
        for pod in self._pods:
            if pod.is_updated and self._has_long_trouble(pod):
                raise HopelessError(
                    f"{pod.name} cannot start: {pod.trouble}\n"
                    f"look: {LOOK.get(pod.trouble, 'kubectl describe pod')} {pod.name}; "
                    f"go back: helm rollback {self._release}"
                )

    def advance(self) -> bool:
        """Take one step; say whether it was the last."""
        facts = self.look()
        step = next_step(facts)
        if step.action is Action.WAIT:
            self._check_trouble()
            if facts.stuck or facts.leader is None:
                self._check_pause(step.reason)
            self.say(f"waiting: {step.reason}")
        elif step.action is not Action.REPLACE and time.monotonic() < self._settled_at:
            # Until then they may still ask for a restart that a change back has made needless.
            self.say("waiting: the members read their settings")
        elif step.action is Action.DONE:
            return True
        elif step.action is Action.SWITCH_OVER and time.monotonic() < self._calm_at:
            self.say("waiting: the Services take up the member that has just become ready")
        else:
            self._take(step)
        return False

    def _check_pause(self, what: str) -> None:
        """Raise HopelessError while failover is paused: Patroni would not start again what is stopped."""
        try:
            _, stored = self._stored(self._pods)
        except OSError:
            return
        if stored.get("pause"):
            raise HopelessError(
                f"failover is paused, and a pod that ends now does not come back to work: {what}\n"
                f"kubectl exec {self._name}-0 -c postgres -- pgha resume; then the same with helm again"
            )

    def _take(self, step: Step) -> None:
        pod = next(pod for pod in self._pods if pod.name == step.member)
        if step.action is Action.REPLACE or (step.action is Action.SWITCH_OVER and not pod.is_updated):
            self._check_pause(f"{step.action.value} {step.member} ({step.reason})")
        if step.action is Action.REPLACE:
            self.say(f"replacing {pod.name}: {step.reason}")
            self._api.delete(f"/pods/{pod.name}")
        elif step.action is Action.RESTART:
            self.say(f"restarting {pod.name}: {step.reason}")
            self._patroni(pod).restart()
            facts = self.look()
            if facts.leader and facts.leader.name == pod.name:
                self._restarted.clear()
            self._restarted.add(pod.name)
        else:
            self.say(f"{pod.name} hands over to {step.target}: {step.reason}")
            try:
                self._patroni(pod).switchover(pod.name, step.target)
            except PatroniError as error:
                self._failed_switchovers += 1
                self.say(f"it did not: {error}")
            else:
                self.switchovers += 1


def stop(_: int, __: object) -> None:
    """End at once: a Job that is deleted must not work on beside the next one."""
    sys.exit(AGAIN)


def main() -> int:
    """Run for Helm."""
    signal.signal(signal.SIGTERM, stop)
    deadline = time.monotonic() + float(os.environ["ROLLOUT_SECONDS"])
    credentials = f"{os.environ['PATRONI_RESTAPI_USERNAME']}:{os.environ['PATRONI_RESTAPI_PASSWORD']}"
    name, release = os.environ["STATEFULSET"], os.environ["RELEASE"]
    try:
        wishes = json.loads((WISHES / "rollout.json").read_text(encoding="utf-8"))
        Rollout(Api.in_cluster(), name, release, credentials, deadline).run(wishes)
    except HopelessError as error:
        sys.stderr.write(f"error: {error}\n")
        return CANNOT
    except TimeoutError as error:
        sys.stderr.write(f"error: {error}\n")
        return TOO_LATE
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"error: {tell(error)}; nothing is lost, the Job begins again\n")
        return AGAIN
    return 0
