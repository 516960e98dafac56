"""Which step of a rolling change comes next: replicas first, the primary last, and moved once."""

from dataclasses import replace

import pytest
from pgha.patroni import Member
from pgha.steps import Action, Facts, Pod, Step, next_step


def make_member(number: int, role: str = "quorum_standby", *, pending: bool = False, lag: int = 0) -> Member:
    state = "running" if role == "leader" else "streaming"
    return Member(f"db-{number}", role, state, f"10.0.0.{number}", 1, lag, pending)


def make_pod(number: int, *, updated: bool = False, ready: bool = True, ending: bool = False) -> Pod:
    return Pod(f"db-{number}", f"uid-{number}", updated, ready, ending)


def make_facts(leader: int = 0, updated: frozenset[int] = frozenset(), size: int = 3) -> Facts:
    members = [make_member(n, "leader" if n == leader else "quorum_standby") for n in range(size)]
    return Facts(size, [make_pod(n, updated=n in updated) for n in range(size)], members)


class Cluster:
    """Carries steps out at once, and remembers them."""

    def __init__(self, size: int, leader: int) -> None:
        self.size, self.leader = size, leader
        self.updated: set[int] = set()
        self.pending: set[int] = set()
        self.restarted: set[str] = set()
        self.steps: list[tuple[str, int]] = []
        self.must_lead_first = False

    def facts(self) -> Facts:
        members = [
            make_member(n, "leader" if n == self.leader else "quorum_standby", pending=n in self.pending)
            for n in range(self.size)
        ]
        pods = [make_pod(n, updated=n in self.updated) for n in range(self.size)]
        return Facts(self.size, pods, members, frozenset(self.restarted))

    def take(self, step: Step) -> None:
        number = int(step.member[-1])
        self.steps.append((step.action.value, number))
        if step.action is Action.REPLACE:
            self.updated.add(number)
            self.pending.discard(number)
        elif step.action is Action.SWITCH_OVER:
            assert int(step.target[-1]) != number
            self.leader = int(step.target[-1])
        else:
            if number == self.leader:
                self.restarted.clear()
                self.must_lead_first = False
            self.restarted.add(step.member)
            if not self.must_lead_first:
                self.pending.discard(number)

    def run(self) -> list[tuple[str, int]]:
        while (step := next_step(self.facts())).action is not Action.DONE:
            assert len(self.steps) < 30, self.steps
            assert step.action is not Action.WAIT, step
            self.take(step)
        return self.steps


@pytest.mark.parametrize("size", range(1, 10))
def test_every_member_is_replaced_once_and_the_primary_moves_once(size: int) -> None:
    for leader in range(size):
        steps = Cluster(size, leader).run()
        replaced = [number for action, number in steps if action == "replace"]
        assert sorted(replaced) == list(range(size))
        assert replaced[-1] == leader
        moves = [number for action, number in steps if action == "switch over"]
        assert moves == ([leader] if size > 1 else [])


@pytest.mark.parametrize("leader", [0, 1, 2])
def test_a_setting_restarts_each_member_once_and_moves_the_primary_once(leader: int) -> None:
    cluster = Cluster(3, leader)
    cluster.updated = cluster.pending = {0, 1, 2}
    cluster.pending = {0, 1, 2}
    steps = cluster.run()
    restarted = [number for action, number in steps if action == "restart"]
    assert sorted(restarted) == [0, 1, 2]
    assert restarted[-1] == leader
    assert [number for action, number in steps if action == "switch over"] == [leader]


def test_a_setting_that_shrinks_goes_through_the_primary() -> None:
    """A replica cannot have fewer connections than the primary: it takes the new value only after it."""
    cluster = Cluster(3, 1)
    cluster.updated = {0, 1, 2}
    cluster.pending = {0, 1, 2}
    cluster.must_lead_first = True
    steps = cluster.run()
    assert [action for action, _ in steps] == ["restart"] * len(steps)
    assert steps.index(("restart", 1)) == 2
    assert {number for _, number in steps[3:]} == {0, 2}


def test_pods_that_are_replaced_need_no_restart() -> None:
    cluster = Cluster(3, 0)
    cluster.pending = {0, 1, 2}
    assert "restart" not in {action for action, _ in cluster.run()}


def test_nothing_is_touched_while_a_member_is_away() -> None:
    facts = make_facts(updated=frozenset({2}))
    behind = replace(facts, members=[make_member(0, "leader"), make_member(1), make_member(2, lag=10**9)])
    absent = replace(facts, members=facts.members[:2])
    stopping = replace(facts, pods=[*facts.pods[:2], make_pod(2, ending=True)])
    missing = replace(facts, pods=facts.pods[:2])
    unready = replace(facts, pods=[*facts.pods[:2], make_pod(2, updated=True, ready=False)])
    for seen in (behind, absent, stopping, missing, unready):
        assert next_step(seen).action is Action.WAIT
    assert next_step(facts) == Step(Action.REPLACE, "a replica of the old kind", "db-1")


def test_a_broken_replica_of_the_old_kind_goes_first() -> None:
    """So a rollback mends what an upgrade broke."""
    facts = make_facts()
    broken = replace(
        facts, pods=[make_pod(0), make_pod(1, ready=False), make_pod(2)], members=facts.members[:1]
    )
    assert next_step(broken).member == "db-1"


def test_a_replica_of_the_old_kind_that_does_not_follow_for_long_is_replaced() -> None:
    """Its password may have been changed, or what the upgrade mends is what keeps it out."""
    facts = make_facts(leader=1, updated=frozenset({1, 2}))
    members = [replace(make_member(0), state="running"), *facts.members[1:]]
    away = replace(facts, members=members)
    assert next_step(away) == Step(Action.WAIT, "db-0 does not follow db-1 yet")
    stuck = replace(away, stuck=frozenset({"db-0"}))
    assert next_step(stuck) == Step(Action.REPLACE, "it is of the old kind, and does not follow db-1", "db-0")
    # One at a time; and what is new already is not helped by being made anew.
    both = replace(stuck, members=[*members[:2], replace(make_member(2), state="running")])
    assert next_step(both).action is Action.WAIT
    new = replace(stuck, pods=[make_pod(n, updated=True) for n in range(3)])
    assert next_step(new).action is Action.WAIT
    leaderless = replace(stuck, members=[replace(item, role="replica") for item in members])
    assert next_step(leaderless) == Step(Action.WAIT, "no member leads")


def test_nothing_is_touched_before_commits_count_on_every_replica() -> None:
    """Else they would stand until the member that was touched is back."""
    members = [make_member(0, "leader"), make_member(1, "replica"), make_member(2)]
    for updated in (frozenset({1}), frozenset({1, 2})):
        facts = replace(make_facts(updated=updated), members=members)
        assert next_step(facts) == Step(Action.WAIT, "commits do not count on db-1 yet")
        assert next_step(replace(facts, counts=False)).action is not Action.WAIT


def test_without_synchronous_commits_any_replica_takes_over() -> None:
    facts = make_facts(updated=frozenset({1, 2}))
    members = [make_member(0, "leader"), make_member(1, "replica", lag=1000), make_member(2, "replica")]
    assert next_step(replace(facts, members=members, counts=False)).target == "db-1"


def test_a_primary_that_cannot_hand_over_is_stopped_in_good_order() -> None:
    facts = replace(make_facts(updated=frozenset({1, 2})), cannot_hand_over=True)
    assert next_step(facts).action is Action.REPLACE


def test_no_leader_is_waited_for() -> None:
    facts = make_facts(leader=9)
    assert next_step(facts).reason == "no member leads"
