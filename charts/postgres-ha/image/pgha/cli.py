"""The command `pgha`: for people on any member, and for the pod itself."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence

from pgha.patroni import Member, Patroni, PatroniError
from pgha.steps import best_replica

HEADINGS = ("MEMBER", "ROLE", "STATE", "TIMELINE", "LAG", "NOTE")
WAIT = 60.0
PAUSE = 0.2
# A replica that answers late, or has just come back, is no candidate; a moment later it is.
ATTEMPTS = 3
AGAIN_SECONDS = 2.0


def table(members: Sequence[Member]) -> str:
    """Show members in columns."""
    rows = [HEADINGS]
    for member in members:
        lag = (
            ""
            if member.is_leader
            else f"{member.lag / 2**20:.1f} MB"
            if member.lag is not None
            else "unknown"
        )
        note = "needs a restart" if member.pending_restart else ""
        role = "primary" if member.role == "leader" else member.role.replace("_", " ")
        rows.append((member.name, role, member.state, str(member.timeline or ""), lag, note))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(line.rstrip() + "\n" for line in lines)


class CommandError(Exception):
    """What a command cannot do, and what to do instead."""


def find(members: Sequence[Member], name: str) -> Member:
    """Return a member by its name or its number."""
    for member in members:
        if name in (member.name, str(member.ordinal)):
            return member
    raise CommandError(f"there is no member {name}; there are {', '.join(member.name for member in members)}")


def show(patroni: Patroni, _: argparse.Namespace) -> None:
    """Print the members."""
    sys.stdout.write(table(patroni.members()))
    if patroni.config().get("pause"):
        sys.stdout.write("PAUSED: nothing fails over by itself. End it: pgha resume\n")


def switchover(patroni: Patroni, arguments: argparse.Namespace) -> None:
    """Move the primary's role."""
    members = patroni.members()
    leader = next((member.name for member in members if member.is_leader), None)
    if leader is None:
        raise CommandError("no member leads, so there is nothing to hand over; look: pgha list")
    target = find(members, arguments.to).name if arguments.to else best_replica(members, {leader})
    if not target:
        raise CommandError(f"no replica follows {leader} closely enough; look: pgha list")
    sys.stdout.write(_move(patroni, leader, target) + "\n")
    show(patroni, arguments)


def _move(patroni: Patroni, leader: str, target: str) -> str:
    left = ATTEMPTS
    while True:
        left -= 1
        try:
            return patroni.switchover(leader, target)
        except PatroniError as error:
            # It may have moved all the same.
            if not any(member.is_leader and member.name == leader for member in patroni.members()):
                return f"{leader} does not lead any more"
            if not left:
                raise CommandError(f"{error}\n{leader} still leads; why: kubectl logs {leader}") from error
            sys.stdout.write(f"{error}; trying again\n")
            time.sleep(AGAIN_SECONDS)


def reinit(patroni: Patroni, arguments: argparse.Namespace) -> None:
    """Copy a replica anew."""
    member = find(patroni.members(), arguments.member)
    if member.is_leader:
        raise CommandError(
            f"{member.name} leads; it is replicas that are copied anew. First: pgha switchover"
        )
    if not member.host:
        raise CommandError(
            f"{member.name} has no address: its pod does not run. Look: kubectl describe pod {member.name}"
        )
    sys.stdout.write(Patroni.at(member.host).reinitialize() + "\n")
    sys.stdout.write("It is a replica again when `pgha list` shows it as streaming.\n")


def pause(patroni: Patroni, arguments: argparse.Namespace) -> None:
    """Leave failover to people."""
    patroni.patch_config({"pause": True})
    show(patroni, arguments)


def resume(patroni: Patroni, arguments: argparse.Namespace) -> None:
    """Leave failover to Patroni."""
    patroni.patch_config({"pause": None})
    end = time.monotonic() + WAIT
    while patroni.config().get("pause") and time.monotonic() < end:
        time.sleep(PAUSE)
    show(patroni, arguments)


def make_parser() -> argparse.ArgumentParser:
    """Return the commands for people."""
    parser = argparse.ArgumentParser(prog="pgha", description="Looks after the members of this database.")
    commands = parser.add_subparsers(dest="command", required=True)

    def add(
        name: str, work: Callable[[Patroni, argparse.Namespace], None], text: str
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(work=work)
        return command

    add("list", show, "Show the members, who leads, and how far the others are behind.")
    moving = add("switchover", switchover, "Move the primary's role, to the best replica or the one named.")
    moving.add_argument("to", nargs="?", help="member, by its name or number")
    anew = add("reinit", reinit, "Throw a replica's data away and copy it from the primary.")
    anew.add_argument("member", help="member, by its name or number")
    add("pause", pause, "Stop automatic failover, for work by hand.")
    add("resume", resume, "Let Patroni fail over by itself again.")
    return parser


def main(arguments: list[str]) -> int:
    """Run a command; return its exit code."""
    name = arguments[0] if arguments else ""
    if name == "pre-stop":
        from pgha import pre_stop

        pre_stop.main(os.environ)
        return 0
    if name in INTERNAL:
        return INTERNAL[name](arguments[1:])
    parsed = make_parser().parse_args(arguments)
    try:
        parsed.work(Patroni.at(), parsed)
    except (CommandError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def _keeper(_: list[str]) -> int:
    from pgha import keeper

    keeper.main()
    return 0


def _rollout(_: list[str]) -> int:
    from pgha import rollout

    return rollout.main()


def _certificates(_: list[str]) -> int:
    from pgha import certificates

    return certificates.main()


def _removal(_: list[str]) -> int:
    from pgha import removal

    return removal.main()


def _import(_: list[str]) -> int:
    from pgha import importing

    return importing.main()


def _plain(_: list[str]) -> int:
    from pgha import plain

    return plain.main()


def _patroni(arguments: list[str]) -> int:
    from pgha import start_patroni

    return start_patroni.main(arguments)


INTERNAL: dict[str, Callable[[list[str]], int]] = {
    "keeper": _keeper,
    "rollout": _rollout,
    "renew-certificates": _certificates,
    "remove": _removal,
    "import": _import,
    "patroni": _patroni,
    "leader-is-plain": _plain,
}
