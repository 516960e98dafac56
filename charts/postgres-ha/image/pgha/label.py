"""The label of the primary's Service: whoever gets the lock takes it, from every other member too.

The primary's Service selects pods by the label `role`, which the keepers set: Patroni takes it from a primary
that hands over before the next one has it, and puts it on that one only in its next loop. Its own is
`patroni-role`. The Service of the replicas has another, see pgha.keeper.

A primary that is frozen, or on a node that is cut off, cannot give its label back; Kubernetes notices it
after 40 s and more. Until then the Service would have two pods, one of them unable to write.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgha.kube import Api

PIPE = Path("/run/postgresql/keeper")
ATTEMPTS = 5
PAUSE = 0.2
# What Patroni tells when this member gets the lock: this word, the time (monotonic: one for all containers of
# a pod), and who gave it back. It is certain for that long.
LOCK = "lock"
CERTAIN_SECONDS = 1.0


@dataclass(frozen=True)
class News:
    """What is certain: this member has just got the lock, and who gave it back; empty where it expired."""

    has_lock: bool = False
    released_by: str = ""


NO_NEWS = News()


def take_label(api: Api, me: str, scope: str, news: News = NO_NEWS) -> list[str]:
    """Put role=primary on this pod and take it from every other; return the names of those others.

    Does nothing without the lock, which is looked at first unless it is certain that this member has it.

    A former primary that gave up in good order keeps the label until now, and loses it after this pod has it:
    kube-proxy carries out the first of two changes at once and lets the second wait for a second. From one
    that went silent it is taken first, so that the two are never both behind the Service.
    """
    # This may run late. Whoever holds the lock by now does it instead.
    if not news.has_lock and holder(api, scope) != me:
        return []
    labelled = api.pods(f"cluster-name={scope},role=primary")
    others = [pod for pod in labelled if pod["metadata"]["name"] != me]
    # Who gave the lock back has stopped, and may not have said so yet.
    silent = [pod for pod in others if says_it_leads(pod) and pod["metadata"]["name"] != news.released_by]
    for pod in silent:
        _strip(api, pod)
    if len(others) == len(labelled):
        api.call("PATCH", f"/pods/{me}", {"metadata": {"labels": {"role": "primary"}}})
    for pod in others:
        if pod not in silent:
            _strip(api, pod)
    return [str(pod["metadata"]["name"]) for pod in others]


def holder(api: Api, scope: str) -> str:
    """Return who holds the lock, empty where nobody does."""
    leader = api.call("GET", f"/configmaps/{scope}-leader")
    return str((leader["metadata"].get("annotations") or {}).get("leader") or "")


def what_patroni_says(pod: Mapping[str, Any]) -> Any:
    """Return the last that the Patroni of this pod's name said of itself; None where it said nothing yet."""
    return json.loads((pod["metadata"].get("annotations") or {}).get("status") or "null")


def says_it_leads(pod: Mapping[str, Any]) -> bool:
    """Whether the last that was heard of a pod is that it is a running primary."""
    told = what_patroni_says(pod) or {}
    return told.get("state") == "running" and told.get("role") in {"primary", "master"}


def _strip(api: Api, pod: dict[str, Any]) -> None:
    # The version makes the API refuse the patch if the pod changed meanwhile; then it is looked at again.
    metadata = {"resourceVersion": pod["metadata"]["resourceVersion"], "labels": {"role": None}}
    api.call("PATCH", f"/pods/{pod['metadata']['name']}", {"metadata": metadata})


def tell_lock(released_by: str, pipe: Path = PIPE) -> None:
    """Tell the keeper that this member has just got the lock. Never waits, and never fails."""
    with suppress(OSError):
        file = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(file, f"{LOCK} {time.monotonic()} {released_by}\n".encode())
        finally:
            os.close(file)


def read_news(text: str, now: float) -> News:
    """Read the last line about the lock; any other only says that there is something to look at."""
    for line in reversed(text.splitlines()):
        match line.split():
            case [word, when, *who] if word == LOCK:
                with suppress(ValueError):
                    if 0 <= now - float(when) <= CERTAIN_SECONDS:
                        return News(has_lock=True, released_by=" ".join(who))
                return NO_NEWS
    return NO_NEWS


class Mover(threading.Thread):
    """Waits for news of this member's role on a pipe, and moves the label at once."""

    def __init__(self, api: Api, me: str, scope: str, log: Callable[[str], None], pipe: Path = PIPE) -> None:
        super().__init__(daemon=True)
        self._api, self._me, self._scope, self._log = api, me, scope, log
        if not pipe.is_fifo():
            os.mkfifo(pipe)
        # Also for writing, so that it never ends.
        self._pipe = os.open(pipe, os.O_RDWR)
        self._asking = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)

    def run(self) -> None:
        """Work until the process ends."""
        while text := os.read(self._pipe, 4096):
            self._move(read_news(text.decode(errors="replace"), time.monotonic()))

    def ask(self) -> None:
        """Have it looked at now."""
        with suppress(BlockingIOError):
            os.write(self._asking, b"look\n")

    def _move(self, news: News) -> None:
        for left in reversed(range(ATTEMPTS)):
            try:
                stripped = take_label(self._api, self._me, self._scope, news)
            except Exception as error:  # noqa: BLE001 - it must go on, whatever the answer was
                # Also where the API server closed a connection that had nothing to do.
                if not left:
                    self._log(f"could not move the role label: {error}")
                    return
                news = NO_NEWS
                time.sleep(PAUSE if left < ATTEMPTS - 1 else 0)
            else:
                if stripped:
                    how = "as soon as it had the lock" if news.has_lock else "at a later look"
                    self._log(f"took role=primary from {', '.join(stripped)}, {how}")
                return
