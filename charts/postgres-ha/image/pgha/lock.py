"""Frees the leader lock of a member whose pod is gone, once its Postgres has shut down.

A pod that is deleted by force loses its place at the API server at once: its token is void, and a network
policy knows it no more. Its Patroni still stops Postgres in good order, but cannot give the lock back, and
everybody would wait for it until a new pod of that name runs, or for `ttl`.

A replica can do it, for it has a proof: the last record of its log is the one that a server writes when it
shuts down, after every client's end. It counts only if it came in over a stream from the present holder of
the lock that this replica has followed, and that has ended; and the holder's Patroni must answer no more,
for it could start Postgres again. With a server that was killed, or is only out of reach, there is no such
record, and the lock stays until it expires.
"""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pgha.kube import Api
from pgha.label import what_patroni_says
from pgha.patroni import Patroni

WALDUMP_SECONDS = 2
ANSWER_SECONDS = 0.5
# The record has 114 bytes, and headers of pages may lie in between; reading begins at the next whole record.
REACH = 1024
SHUTDOWN = re.compile(r" desc: CHECKPOINT_SHUTDOWN ")
NOTHING = "could not find a valid record"
# A stream begins with what is there already, such as the record of an earlier shutdown.
SETTLE_SECONDS = 2.0
# With more between two looks, another stream may have come and gone.
BLIND_SECONDS = 2.0
ASK_SECONDS = 2.0
LOOK = """
    SELECT pid, status, received_tli, sender_host,
        (greatest(flushed_lsn, latest_end_lsn, pg_last_wal_replay_lsn()) - '0/0'::pg_lsn)::bigint,
        (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint,
        pg_size_bytes(current_setting('wal_segment_size'))
    FROM (SELECT) AS one LEFT JOIN pg_stat_wal_receiver ON true
"""


@dataclass(frozen=True)
class Lock:
    """One holding of the lock; `address` is the holder's, as it told it."""

    holder: str
    since: str
    transitions: str
    address: str


@dataclass(frozen=True)
class Stream:
    """A connection that a replica follows its primary over; times are of the monotonic clock."""

    process: int
    timeline: int
    lock: Lock
    # What was there at its begin.
    begin: int
    began: float
    seen: float
    is_over: bool = False


@dataclass(frozen=True)
class Place:
    """The end of the log that a replica has, in bytes, on a timeline, in segments of that size."""

    position: int
    timeline: int
    segment: int


class LockWatch:
    """Of a replica: remembers the stream it follows the primary on."""

    def __init__(
        self,
        api: Api,
        me: str,
        scope: str,
        log: Callable[[str], None],
        patroni: Callable[[str], Patroni] = Patroni.at,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patroni = patroni
        self._api, self._me, self._log, self._clock = api, me, log, clock
        self._path = f"/configmaps/{scope}-leader"
        self._folder = Path(os.environ.get("PGDATA", "/pgdata/17")) / "pg_wal"
        self._stream: Stream | None = None
        self._next_ask = 0.0
        self._known: tuple[Place, bool] | None = None

    def forget(self) -> None:
        """Begin anew: this member leads, or has no Postgres."""
        self._stream = None

    def look(self, connection: Any) -> None:
        """Look once. Raises OSError or psycopg.Error where something does not answer."""
        if connection is None or connection.closed:
            self.forget()
            return
        process, status, timeline, sender, begin, position, segment = connection.execute(LOOK).fetchone()
        now = self._clock()
        if process is not None:
            if status == "streaming":
                self._follow(process, timeline, sender, begin, now)
            return
        stream = self._stream
        if stream is None:
            return
        if not stream.is_over and now - stream.seen > BLIND_SECONDS:
            self.forget()
            return
        self._stream = stream = replace(stream, is_over=True)
        if position is None or position <= stream.begin:
            return
        if self._has_shut_down(Place(position, stream.timeline, segment)):
            self._free(stream, position)

    def _follow(self, process: int, timeline: int, sender: str, begin: int, now: float) -> None:
        stream = self._stream
        if stream is None or (stream.process, stream.timeline) != (process, timeline):
            self.forget()
            if now < self._next_ask:
                return
            self._next_ask = now + ASK_SECONDS
            lock = read_lock(self._api.call("GET", self._path))
            # A replica may follow a former primary for a moment.
            if lock is not None and lock.address == sender:
                self._stream = Stream(process, timeline, lock, begin, now, now)
                self._next_ask = 0.0
        elif now - stream.began < SETTLE_SECONDS:
            self._stream = replace(stream, begin=max(begin, stream.begin), seen=now)
        else:
            self._stream = replace(stream, seen=now)

    def _has_shut_down(self, place: Place) -> bool:
        if self._known is None or self._known[0] != place:
            self._known = place, has_shut_down(self._folder, place)
        return self._known[1]

    def _free(self, stream: Stream, position: int) -> None:
        found = self._api.call("GET", self._path)
        lock = read_lock(found)
        if lock != stream.lock or lock.holder == self._me:
            self.forget()
            return
        told = found["metadata"]["annotations"].get("optime") or "0"
        if int(told) > position or not is_gone(self._api.find(f"/pods/{lock.holder}"), lock.address):
            return
        if answers(self._patroni(lock.address)):
            return
        # Whoever changed it meanwhile is alive.
        version = found["metadata"]["resourceVersion"]
        if self._api.patch_unchanged(self._path, version, {"annotations": {"leader": None}}):
            self._log(f"freed the lock of {lock.holder}: its pod is gone, and its Postgres has shut down")


def read_lock(found: Mapping[str, Any]) -> Lock | None:
    """Read who holds the lock; None where nobody does, or has not told its address yet."""
    annotations = found["metadata"].get("annotations") or {}
    holder = str(annotations.get("leader") or "")
    addresses = json.loads(annotations.get("failsafe") or "{}")
    address = urlsplit(str(addresses.get(holder, ""))).hostname
    if not holder or not address:
        return None
    return Lock(holder, str(annotations.get("acquireTime")), str(annotations.get("transitions")), address)


def is_gone(pod: Mapping[str, Any] | None, address: str) -> bool:
    """Whether the member of this address has no pod, or another one in which Patroni has said nothing yet.

    What a Patroni says goes to the pod of its name: the one that is stopping may say it of the next.
    """
    if pod is None:
        return True
    said = what_patroni_says(pod)
    if said is None:
        return True
    if not isinstance(said, dict):
        return False
    here = pod.get("status", {}).get("podIP")
    return urlsplit(str(said.get("conn_url", ""))).hostname == address != here


def answers(patroni: Patroni) -> bool:
    """Whether it does; it stops that before it stops Postgres for good, though its port stays open."""
    try:
        patroni.call("GET", "/liveness", timeout=ANSWER_SECONDS)
    except OSError:
        return False
    return True


def has_shut_down(folder: Path, place: Place) -> bool:
    """Whether the log's last record is that of a server's shutdown. Raises OSError where nobody can tell."""
    number = (place.position - 1) // place.segment
    start = max(place.position - REACH, number * place.segment)
    words = ["pg_waldump", f"--start={show(start)}", f"--end={show(place.position)}"]
    words += [str(folder / name_segment(place.timeline, number, place.segment))]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=WALDUMP_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise OSError(f"pg_waldump takes more than {WALDUMP_SECONDS} s") from error
    if done.returncode and NOTHING not in done.stderr:
        raise OSError(done.stderr.strip())
    lines = done.stdout.splitlines()
    return bool(lines) and bool(SHUTDOWN.search(lines[-1]))


def name_segment(timeline: int, number: int, size: int) -> str:
    """Name the file of a segment as Postgres does."""
    per_file = 2**32 // size
    return f"{timeline:08X}{number // per_file:08X}{number % per_file:08X}"


def show(position: int) -> str:
    """Write a place in the log as Postgres does."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"
