"""Starts Patroni with less waiting, and with an eye on its certificates.

Patroni looks once a second whether Postgres has stopped, waits a second more for replicas that have
everything already, and lets replicas sleep for two seconds before they follow a leader that may be there at
once. A switchover consists of little else. What is waited for is the same here, only looked at more often.
Each of these is measured in docs/postgres-ha-faults.md.

A member whose pod or node is gone swallows packets, and whoever wants the lock asks every member first: so it
waits a second for a connection, and as long as before for the answer.

The keeper is told of the lock the moment it is there, and moves the label of the primary's Service while
Patroni still prepares the promotion: proxies take a second to follow.

A replica goes on following a leader whose pod is gone, as long as it leads: Patroni would cut the connection
at once, while a pod that is deleted by force still runs, and has the end of the log to send.

A member that was cut short while it was copied, or whose log outlived its data, is copied anew without anyone
asking: see pgha.leftovers.

New certificates are taken up from inside. Patroni's REST API cannot be asked for it in every case: with
another authority neither side trusts the other until it is done, and an expired certificate lets nobody in.

A Patroni in which these places have moved makes `check` fail, which the image's build runs.
"""

import inspect
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import urllib3

from pgha.label import tell_lock
from pgha.leftovers import BROKEN, begin_anew, empty_log_first
from pgha.patroni import TLS, fingerprint, tls_context

SHORT = 0.1
# For the TLS handshake too, which a busy member takes its time for.
CONNECT_SECONDS = 1.0
CERTIFICATES_PERIOD = 5.0


class Clock:
    """Stands for the module `time` in patroni.ha."""

    def __init__(self) -> None:
        self.event: Any = None

    def __getattr__(self, name: str) -> Any:
        """Be the module in everything else."""
        return getattr(time, name)

    def sleep(self, seconds: float) -> None:
        """Sleep as long as the caller needs."""
        caller = sys._getframe(1).f_code.co_name  # noqa: SLF001 - there is no other way to tell
        if caller == "process_unhealthy_cluster" and self.event is not None:
            # Any news of the leader ends it.
            self.event.wait(seconds)
        elif caller in {"on_shutdown", "_on_shutdown"}:
            time.sleep(min(seconds, SHORT))
        else:
            time.sleep(seconds)


def hurry(request: Callable[..., Any]) -> Callable[..., Any]:
    """Let a request that is tried once give up early where nobody is.

    What is tried again is of more weight: with failsafe mode, a primary gives up if one member misses it.
    """

    def send(self: Any, method: str, url: str, body: Any = None, **words: Any) -> Any:
        seconds = words.get("timeout")
        if isinstance(seconds, int | float) and words.get("retries") == 0:
            words["timeout"] = urllib3.Timeout(connect=min(seconds, CONNECT_SECONDS), read=seconds)
        return request(self, method, url, body, **words)

    return send


def remember(find: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Let the node to follow keep the address it had, when its pod is gone and nobody knows another."""
    # Patroni also asks from a thread of its own, so it is one value, read once.
    known: dict[str, Any] = {"node": None}

    def find_known(ha: Any, cluster: Any) -> Any:
        node = find(ha, cluster)
        if node is None or node.conn_url:
            known["node"] = node
            return node
        last = known["node"]
        return last if last is not None and last.name == node.name else node

    return find_known


def announce(acquire: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Let the keeper know at once when this member gets the lock, and who had given it back."""

    def acquire_and_tell(ha: Any) -> bool:
        # Patroni gets the lock only if this is still what is stored; one that expired names its holder still.
        record = getattr(ha.dcs, "_leader_observed_record", None)
        last = getattr(ha.old_cluster, "leader", None)
        released_by = last.name if last and record and not record.get("leader") else ""
        is_ours = acquire(ha)
        if is_ours:
            tell_lock(released_by)
        return is_ours

    return acquire_and_tell


class Certificates(threading.Thread):
    """Tells Patroni when there are new certificates: to read its configuration again, and Postgres too."""

    def __init__(self, tell: Callable[[], object], known: str, folder: Path = TLS) -> None:
        """Take the fingerprint of what Patroni has."""
        super().__init__(daemon=True)
        self._tell, self._known, self._folder = tell, known, folder
        self._said = ""

    def run(self) -> None:
        """Work until the process ends."""
        while True:
            time.sleep(CERTIFICATES_PERIOD)
            self.look()

    def look(self) -> None:
        """Look once."""
        try:
            found = fingerprint(self._folder)
            if found in {"", self._known}:
                return
            # Patroni stops its REST API before it reads them: with a wrong key it would stay without one.
            tls_context(self._folder)
        except OSError as error:
            self._say(f"not read, they do not fit together: {error}")
            return
        self._tell()
        self._known = found
        self._say("new ones, Patroni reads them")
        self._said = ""

    def _say(self, text: str) -> None:
        if text != self._said:
            sys.stderr.write(f"certificates: {text}\n")
        self._said = text


def check() -> None:
    """Raise RuntimeError unless Patroni is as this expects it."""
    import patroni.daemon
    import patroni.dcs.kubernetes
    import patroni.postgresql  # first: the two import each other
    import patroni.ha  # isort: skip
    import patroni.request

    source = inspect.getsource(patroni.ha.Ha)
    places = {
        "the second after a shutdown": "time.sleep(1)  # give replicas some more time to catch up",
        "the two seconds of a replica": "time.sleep(2)  # Give a time to somebody to take the leader lock",
        "the function of these seconds": "def process_unhealthy_cluster(",
        "the choice of whom to follow": "def _get_node_to_follow(self, cluster: Cluster)",
        "the moment of the lock": "if self.acquire_lock():",
        "who had the lock": "self.old_cluster = cluster",
        "a look at its member": "def _run_cycle(self) -> str:",
        "what it says of a copy that was cut short": BROKEN,
        "what it says where nobody leads": "'waiting for {0}leader to bootstrap'",
        "how it is told to copy a member anew": "def reinitialize(self, force: bool = False)",
        "how it copies a member": "def clone(self, clone_member: ",
    }
    for name, text in places.items():
        if text not in source:
            raise RuntimeError(f"this Patroni is another one: {name} is not where it was")
    if patroni.postgresql.STOP_POLLING_INTERVAL != 1:
        raise RuntimeError("this Patroni is another one: it polls a stop differently")
    if "timeout=2, retries=0" not in source or not hasattr(patroni.request.PatroniRequest, "request"):
        raise RuntimeError("this Patroni is another one: it asks members differently")
    if "self._leader_observed_record.get(self._LEADER)" not in inspect.getsource(patroni.dcs.kubernetes):
        raise RuntimeError("this Patroni is another one: it remembers the lock differently")
    if not hasattr(patroni.daemon.AbstractPatroniDaemon, "sighup_handler"):
        raise RuntimeError("this Patroni is another one: it is told differently to read its configuration")


def main(arguments: list[str]) -> int:
    """Become Patroni, or only look whether it is the expected one."""
    check()
    if arguments == ["--check"]:
        return 0
    import patroni.__main__
    import patroni.ha
    import patroni.request

    for name in ("PATRONI_REPLICATION_PASSWORD", "PATRONI_REWIND_PASSWORD"):
        # The roles get the passwords so: a file that became a Secret often ends with a line feed.
        if name in os.environ:
            os.environ[name] = os.environ[name].rstrip("\n")
    clock = Clock()
    # Before Patroni reads them: what changes meanwhile is read twice rather than never.
    known = fingerprint(TLS)
    make = patroni.ha.Ha.__init__

    def init(self: Any, *words: Any, **named: Any) -> None:
        make(self, *words, **named)
        clock.event = self.dcs.event
        # Here and not earlier: where Patroni is process 1, this is another process, and threads stay behind.
        Certificates(self.patroni.sighup_handler, known).start()

    patroni.postgresql.STOP_POLLING_INTERVAL = SHORT  # type: ignore[assignment]
    # Replaced in place, private ones too: Patroni has no setting or hook for any of these.
    patroni.ha.Ha.__init__ = init  # type: ignore[method-assign]
    patroni.ha.Ha._get_node_to_follow = remember(patroni.ha.Ha._get_node_to_follow)  # type: ignore[method-assign]  # noqa: SLF001
    patroni.ha.Ha.acquire_lock = announce(patroni.ha.Ha.acquire_lock)  # type: ignore[method-assign]
    patroni.ha.Ha._run_cycle = begin_anew(patroni.ha.Ha._run_cycle)  # type: ignore[method-assign]  # noqa: SLF001
    patroni.ha.Ha.clone = empty_log_first(patroni.ha.Ha.clone)  # type: ignore[method-assign]
    patroni.request.PatroniRequest.request = hurry(patroni.request.PatroniRequest.request)  # type: ignore[method-assign]
    patroni.ha.time = clock  # type: ignore[assignment]
    sys.argv = ["patroni", *arguments]
    patroni.__main__.main()
    return 0
