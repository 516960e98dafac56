"""Lets a member begin anew that has only leftovers, while another member leads.

A copy that was cut short has no `global/pg_control`, which comes last. Patroni neither starts nor removes it,
and waits for somebody to reinitialize the member. That is done here where no server has ever run on the data:
then they are nobody's.

A log on a volume of its own outlives its data. Patroni finds it by a link among the data, and pg_basebackup
wants an empty folder. So it is emptied right before a copy, where there are no data.

Nothing of this is decided when the container starts. Whoever lost its data may hold the lock, until Patroni
gives it back; and where all members start at once, nobody holds it yet. Without another leader everything
stays, as it may be all that somebody has left. A Patroni that has just started takes any stored lock for a
good one: so the leader is asked, too.
"""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pgha.patroni import Patroni

# What Patroni answers itself after a look at its member.
BROKEN = "but system ID is invalid; consider doing reinitialize"
WAITING = "waiting for leader to bootstrap"
# Nobody needs a password to read, and Patroni takes its own out of the environment.
ANYBODY = {"PATRONI_RESTAPI_USERNAME": "", "PATRONI_RESTAPI_PASSWORD": ""}


def find_log(options: Any) -> Path | None:
    """Return where pg_basebackup is told to put the log; None where that is among the data."""
    found = [option["waldir"] for option in options if isinstance(option, dict) and "waldir" in option]
    return Path(found[0]) if found else None


def is_cut_short(data: Path) -> bool:
    """Whether these are data that no server has run on, and none can."""
    # Each server leaves it behind, and no copy takes it along.
    if (data / "postmaster.opts").exists():
        return False
    control = data / "global" / "pg_control"
    return not control.exists() or control.stat().st_size == 0


def empty_log_first(clone: Callable[..., Any]) -> Callable[..., Any]:
    """Let Patroni copy a member whose log outlived its data."""

    def clone_anew(ha: Any, *words: Any) -> Any:
        log = find_log(ha.state_handler.replica_method_options("basebackup"))
        # With data, Patroni removes both.
        if log is not None and _is_full(log) and ha.state_handler.data_directory_empty():
            _empty(log, _why_not(ha))
        return clone(ha, *words)

    return clone_anew


def begin_anew(run: Callable[[Any], str]) -> Callable[[Any], str]:
    """Let Patroni reinitialize a member whose copy was cut short, and say what is left alone."""
    said = ""

    def run_and_mend(ha: Any) -> str:
        nonlocal said
        answer = run(ha)
        text = "" if ha.is_paused() else _mend(ha, answer)
        if text and text != said:
            _say(text)
        said = text
        return answer

    return run_and_mend


def _mend(ha: Any, answer: str) -> str:
    data = Path(ha.state_handler.data_dir)
    if BROKEN in answer:
        if not is_cut_short(data):
            return f"{data} is not whole, but a server has run on it: left alone. Copy it anew: pgha reinit"
        refusal = _why_not(ha) or ha.reinitialize()
        what = f"left alone: {refusal}" if refusal else "copying it anew"
        return f"{data} is not whole, and no server has run on it: {what}"
    if answer != WAITING:
        return ""
    log = find_log(ha.state_handler.replica_method_options("basebackup"))
    if log is None or not _is_full(log):
        return ""
    return (
        f"{data} is empty and {log} is not. It is left alone, until another member leads: "
        "save it before, if it is all that is left"
    )


def _why_not(ha: Any) -> str:
    """Return why nobody can be copied; empty where a member leads, and says so itself."""
    leader = ha.cluster.leader
    address = urlsplit(leader.conn_url or "").hostname if leader else None
    if not address:
        return "no other member leads"
    try:
        return "" if Patroni.at(address, ANYBODY).is_leader() else f"{leader.name} says that it does not lead"
    except OSError as error:
        return f"{leader.name} leads, but does not answer: {error}"


def _empty(log: Path, why_not: str) -> None:
    if why_not:
        _say(f"{log} is the log of data that are not here. It is left alone: {why_not}")
        return
    _say(f"emptying {log}: its data are not here, and are copied from another member")
    try:
        shutil.rmtree(log)
    except OSError as error:
        _say(f"cannot empty {log}: {error}")


def _is_full(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _say(text: str) -> None:
    sys.stderr.write(f"leftovers: {text}\n")
