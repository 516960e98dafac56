"""Runs before the kubelet stops a member: hands the leader lock over, so that writers wait seconds only.

A member that is not the leader has nothing to do. The leader writes a checkpoint (its shutdown is short then)
and asks Patroni for a switchover until one succeeds, nobody could ever take over, or the time is up.
Then it waits until this member is a replica: the new primary may count on it for its first commits, and lets
it go in good order only from there.

Never fails: whatever happens here, the pod ends, and the automatic failover is what remains.

Environment: POD_NAME, PATRONI_RESTAPI_USERNAME, PATRONI_RESTAPI_PASSWORD, PRE_STOP_SECONDS (default 60).
"""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pgha.patroni import SWITCHOVER_TIMEOUT, Member, Patroni, PatroniError
from pgha.steps import best_replica

# How long the former leader may take to come back as a replica; it does in a few seconds, or not at all.
REJOIN_TIMEOUT = 20.0
PAUSE = 0.5
# How long a Patroni may be silent before anything was done; one that hangs has the pod's grace for itself.
PATIENCE = 3.0


class Deadline:
    """The point in time at which the kubelet should get its pod back."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - time.monotonic())


def log(text: str) -> None:
    """Write to the container's log: what a hook prints is lost otherwise."""
    line = f"pre-stop: {text}\n"
    try:
        Path("/proc/1/fd/2").write_text(line, encoding="utf-8")
    except OSError:
        sys.stderr.write(line)


def are_alone(me: str, members: Sequence[Member]) -> bool:
    """Say whether no other member exists, in whatever state."""
    return all(member.name == me for member in members)


def checkpoint(deadline: Deadline) -> None:
    """Write dirty pages now, while clients are still served. Without it the switchover only takes longer."""
    command = ["psql", "--no-psqlrc", "--quiet", "--dbname=postgres", "--command=CHECKPOINT"]
    try:
        subprocess.run(command, check=True, timeout=deadline.left / 2)
    except (OSError, subprocess.SubprocessError) as error:
        log(f"no checkpoint: {error}")


def wait_for_rejoin(me: str, patroni: Patroni, deadline: Deadline) -> bool:
    """Wait until this member streams from the new leader; say whether it does."""
    while deadline.left > 0:
        try:
            if any(member.name == me and member.is_streaming for member in patroni.members()):
                return True
        except OSError:
            pass
        time.sleep(PAUSE)
    return False


def hand_over(env: Mapping[str, str], patroni: Patroni, deadline: Deadline) -> str:
    """Switch over if this member leads; return what was done, for the log.

    Raises OSError where Patroni is silent from the beginning.
    """
    me = env["POD_NAME"]
    last, has_tried, is_prepared = "no member streams", False, False
    patience = Deadline(min(PATIENCE, deadline.left))
    while deadline.left > 0:
        try:
            if not patroni.is_leader():
                if not has_tried:
                    return "not the leader, nothing to hand over"
                # A failed attempt may still have moved the lock.
                wait_for_rejoin(me, patroni, Deadline(min(REJOIN_TIMEOUT, deadline.left)))
                return "the lock is with another member"
            members = patroni.members()
            # When the whole cluster is taken down, the others leave while we wait for them.
            if are_alone(me, members):
                return "no other member, nobody to hand over to"
            if not is_prepared:
                checkpoint(deadline)
                is_prepared = True
                members = patroni.members()
            candidate = best_replica(members, {me})
            if candidate:
                has_tried = True
                last = patroni.switchover(me, candidate, min(SWITCHOVER_TIMEOUT, deadline.left))
                rejoined = wait_for_rejoin(me, patroni, Deadline(min(REJOIN_TIMEOUT, deadline.left)))
                return last + ("" if rejoined else ", not a replica yet")
        except PatroniError as error:
            last = str(error)
        except OSError as error:
            if not is_prepared and patience.left == 0:
                raise
            # As while it takes up new certificates, perhaps of another authority.
            last = f"Patroni does not answer: {error}"
            patroni = Patroni.at(env=env)
        time.sleep(PAUSE)
    return f"gave up: {last}"


def main(env: Mapping[str, str]) -> None:
    """Hand over within the time given; report and swallow any error."""
    started = time.monotonic()
    try:
        deadline = Deadline(float(env.get("PRE_STOP_SECONDS", "60")))
        outcome = hand_over(env, Patroni.at(env=env), deadline)
    except Exception as error:  # noqa: BLE001 (a hook that fails would end the pod without its grace)
        outcome = f"failed: {error!r}"
    log(f"{outcome} ({time.monotonic() - started:.1f} s)")
