"""Decides the next step of a rolling change. No I/O: facts in, one step with its reason out.

Invariant: at most one member is away because of us, the primary is touched last, and it moves once, to a
member that is done already.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum

from pgha.patroni import Member

# Bytes of the log that a replica may be behind and still counts as near. What Patroni tells is seconds old.
BYTES_BEHIND = 16 * 1024 * 1024


class HopelessError(Exception):
    """The change cannot be carried out; the message says why and what to do."""


class Action(Enum):
    """What to do."""

    DONE = "done"
    WAIT = "wait"
    REPLACE = "replace"
    SWITCH_OVER = "switch over"
    RESTART = "restart"


@dataclass(frozen=True)
class Step:
    """An action on a member, and why; `target` takes over in a switchover."""

    action: Action
    reason: str
    member: str = ""
    target: str = ""


@dataclass(frozen=True)
class Pod:
    """A pod of the StatefulSet; `trouble` is why it cannot start, if that is certain."""

    name: str
    uid: str
    is_updated: bool
    is_ready: bool
    is_ending: bool
    host: str = ""
    is_tls: bool = True
    has_keeper: bool = True
    has_keeper_trouble: bool = False
    trouble: str = ""

    @property
    def ordinal(self) -> int:
        """Number at the end of its name."""
        return int(self.name.rpartition("-")[2])


@dataclass(frozen=True)
class Facts:
    """What is seen at one moment. `restarted`, and `stuck` (long without following), are of this run."""

    wanted: int
    pods: Sequence[Pod]
    members: Sequence[Member]
    restarted: AbstractSet[str] = frozenset()
    stuck: AbstractSet[str] = frozenset()
    cannot_hand_over: bool = False
    # Whether commits wait for a replica.
    counts: bool = True

    def member(self, name: str) -> Member | None:
        """Return a member by its name."""
        return next((member for member in self.members if member.name == name), None)

    @property
    def leader(self) -> Member | None:
        """Return who holds the lock."""
        return next((member for member in self.members if member.is_leader), None)

    def is_well(self, pod: Pod) -> bool:
        """Whether a pod is ready and, unless it leads, follows the leader closely."""
        member = self.member(pod.name)
        if member is None or not pod.is_ready:
            return False
        return member.is_leader or (member.is_streaming and (member.lag or 0) <= BYTES_BEHIND)


def best_replica(members: Sequence[Member], but: AbstractSet[str] = frozenset()) -> str:
    """Name the replica that takes over, of those that are behind least; empty if none but `but` streams."""
    streaming = [member for member in members if member.is_streaming and member.name not in but]
    # With synchronous replication only a synchronous standby may be promoted.
    fit = [member for member in streaming if member.is_synchronous] or streaming
    # Of those about equally near the first: a scale-down takes the last away, perhaps several at once.
    ordered = sorted(fit, key=lambda member: ((member.lag or 0) // BYTES_BEHIND, member.ordinal))
    return ordered[0].name if ordered else ""


def next_step(facts: Facts) -> Step:
    """Choose the step; nothing is remembered but what the facts hold of this run."""
    leader = facts.leader
    pods = sorted(facts.pods, key=lambda pod: -pod.ordinal)
    followers = [pod for pod in pods if leader is None or pod.name != leader.name]
    missing = _missing(facts, pods)
    if missing:
        return Step(Action.WAIT, missing)
    broken = [pod for pod in followers if not pod.is_updated and not pod.is_ready]
    if broken:
        return Step(Action.REPLACE, "it is of the old kind, and not ready anyway", broken[0].name)
    if leader is None:
        return Step(Action.WAIT, "no member leads")
    return _held_by(facts, leader, followers) or _follow_then_lead(facts, leader, pods)


def _held_by(facts: Facts, leader: Member, followers: Sequence[Pod]) -> Step | None:
    """Return the step that comes before any other while not every replica follows; None if all do."""
    unwell = [pod for pod in followers if not facts.is_well(pod)]
    if unwell and all(pod.name in facts.stuck and not pod.is_updated for pod in unwell):
        # What it has of before may be what keeps it out, such as a password.
        return Step(
            Action.REPLACE, f"it is of the old kind, and does not follow {leader.name}", unwell[0].name
        )
    if unwell:
        return Step(Action.WAIT, f"{unwell[0].name} does not follow {leader.name} yet")
    others = [member for member in facts.members if not member.is_leader]
    uncounted = [member.name for member in others if not member.is_synchronous]
    if facts.counts and uncounted:
        # If another one went away now, commits would have nobody to count on until it is back.
        return Step(Action.WAIT, f"commits do not count on {uncounted[0]} yet")
    return None


def _missing(facts: Facts, pods: Sequence[Pod]) -> str:
    """Say which pods are on their way, empty when all are there."""
    moving = sorted(pod.name for pod in pods if pod.is_ending)
    if moving:
        return f"{', '.join(moving)} is stopping"
    return f"{len(pods)} of {facts.wanted} pods are there" if len(pods) < facts.wanted else ""


def _follow_then_lead(facts: Facts, leader: Member, pods: Sequence[Pod]) -> Step:
    """Everybody is well: replace replicas, then the primary, then restart what needs it."""
    old = [pod for pod in pods if not pod.is_updated]
    replicas = [pod for pod in old if pod.name != leader.name]
    if replicas:
        return Step(Action.REPLACE, "a replica of the old kind", replicas[0].name)
    if old:
        return _move(facts, leader, "it is of the old kind, and every replica is new")
    if all(pod.name != leader.name for pod in pods):
        return Step(Action.WAIT, f"the pod of {leader.name} is not there")
    return _restart(facts, leader)


def _move(facts: Facts, leader: Member, reason: str) -> Step:
    """Take the primary's role from a pod that must be replaced."""
    if facts.wanted == 1 or facts.cannot_hand_over:
        return Step(Action.REPLACE, reason, leader.name)
    return _switch(facts, leader, reason, skip=frozenset())


def _switch(facts: Facts, leader: Member, reason: str, skip: AbstractSet[str]) -> Step:
    best = best_replica(facts.members, skip)
    if not best:
        return Step(Action.WAIT, "no replica is fit to take over")
    return Step(Action.SWITCH_OVER, reason, leader.name, best)


def _restart(facts: Facts, leader: Member) -> Step:
    """Restart what a changed setting asks for: replicas, then the primary after it gave up its role."""
    pending = [member for member in facts.members if member.pending_restart]
    for member in pending:
        if not member.is_leader and member.name not in facts.restarted:
            return Step(Action.RESTART, "a changed setting needs it", member.name)
    if not leader.pending_restart:
        return Step(Action.DONE, "every member is as it should be")
    if leader.name in facts.restarted:
        return Step(Action.WAIT, f"{leader.name} was restarted and asks for it again")
    names = {member.name for member in pending}
    if facts.wanted > 1 and len(names) < len(facts.members):
        return _switch(facts, leader, "a changed setting needs a restart of it", skip=names)
    # A setting that shrinks is followed by replicas only after the primary.
    return Step(Action.RESTART, "no replica can take the new settings before it", leader.name)
