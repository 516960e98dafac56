"""Runs beside Patroni in every member, in a container of its own, and does what Patroni does not.

- A Postgres that is gone is told to Patroni at once, which else would look at its next loop only.
- Whoever gets the lock takes the label of the primary's Service, before it is promoted. A replica has that of
  the replicas' Service, and loses it some seconds after it was promoted.
- A replica frees the lock of a primary whose pod is gone, once its Postgres has shut down.
- On the primary: roles, databases and extensions are made as declared, the application gets the authority of
  the certificates, a member's slot that lost its log is made anew, and writes stop while a volume is nearly
  full.

What it did, and what is wrong, is in the annotation postgres-ha/keeper of the pod, and in the log.
"""

import json
import math
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import psycopg

from pgha.desired import Desired, fetch_desired
from pgha.guard import Guard
from pgha.kube import Api
from pgha.label import Mover, holder
from pgha.lock import LockWatch
from pgha.patroni import TLS, Patroni, fingerprint, tls_context
from pgha.reconcile import Reconciler, connect_locally
from pgha.roles import are_ready
from pgha.settings import check_settings
from pgha.slots import renew_lost_slots
from pgha.trust import give_authority

ANNOTATION = "postgres-ha/keeper"
PERIOD = 5.0
# How often the disk and the lock are looked at.
SHORT_PERIOD = 0.5
# Whom the Service of the replicas leads to.
READS = "postgres-ha/reads"
# How often the labels of a replica are set that should be there already; a primary looks in each round.
LABEL_PERIOD = 30.0
RECONNECT = 0.5
# How often what Postgres refuses is tried again.
REFUSED_PERIOD = 60.0


def log(text: str) -> None:
    """Write a line to the container's log."""
    sys.stderr.write(f"keeper: {text}\n")
    sys.stderr.flush()


class Keeper:
    """State between two rounds."""

    def __init__(self, patroni: Callable[[], Patroni], api: Api, mover: Mover, pod: str, scope: str) -> None:
        self._patroni, self._api, self._mover = patroni, api, mover
        self._pod, self._scope = pod, scope
        self._connection: Any = None
        self._applied = ""
        self._said: dict[str, str] = {}
        self._told = ""
        # Of the declarations that are carried out; roles are before the rest.
        self._version, self._roles = "", ""
        # What Postgres refused of them, and when to try again.
        self._refused: tuple[str, ...] = ()
        self._again_at = math.inf
        self._guard = Guard(patroni, log)
        self._lock = LockWatch(api, pod, scope, log)
        self._certificates = ""
        self._is_leading = False
        # Whether it led in the round before, and whether its pod may have the label of the replicas' Service.
        self._was_leading, self._reads = False, True
        self._low = ""
        self._replica_until = 0.0

    def run(self) -> None:
        """Work until the container ends."""
        while True:
            end = time.monotonic() + PERIOD
            self.round()
            while (left := end - time.monotonic()) > 0:
                self.watch(min(left, SHORT_PERIOD))
                self._attempt("lock", self._look_at_lock)
                self._attempt("disk", self._look_at_disk)

    def watch(self, seconds: float) -> None:
        """Wait, with an eye on Postgres: the end of a connection tells its end the moment it happens."""
        if self._connection is None:
            self._connection = self._try_connect()
        if self._connection is None:
            time.sleep(min(seconds, RECONNECT))
            return
        # A statement may have met the end before this does; such a connection has no socket any more.
        if self._connection.closed or select.select([self._connection.fileno()], [], [], seconds)[0]:
            self._connection.close()
            self._connection = self._try_connect()
            if self._connection is None:
                self._wake()

    def _try_connect(self) -> Any:
        try:
            return connect_locally()
        except psycopg.Error:
            return None

    def _wake(self) -> None:
        try:
            self._patroni().wake()
            log("Postgres does not answer, Patroni was told")
        except OSError as error:
            log(f"Postgres does not answer, and Patroni could not be told: {error}")

    def round(self) -> None:
        """Look at everything once; one trouble keeps no other thing from being looked at."""
        self._attempt("certificates", self._look_at_certificates)
        self._is_leading = bool(self._attempt("postgres", self._is_primary))
        self._attempt("label", self._look_at_label)
        self._attempt("disk", self._look_at_disk)
        if not self._is_leading:
            # What it carried out may be undone by the next one before it leads again.
            self._applied, self._version, self._roles = "", "", ""
        else:
            self._attempt("slots", self._look_at_slots)
            self._attempt("settings", self._look_at_settings)
            desired = self._attempt("declared", lambda: fetch_desired(self._api, self._scope))
            if isinstance(desired, Desired):
                self._attempt("roles", lambda: self._reconcile(desired))
                self._attempt("authority", lambda: self._give_authority(desired))
        self._attempt("report", self._report)

    def _attempt(self, name: str, work: Callable[[], object]) -> object:
        try:
            result = work()
        except (OSError, psycopg.Error, ValueError, KeyError) as error:
            text = f"{name}: {str(error).strip() or repr(error)}"
            if self._said.get(name) != text:
                log(text)
            self._said[name] = text
            return None
        if self._said.pop(name, None):
            log(f"{name}: well again")
        return result

    def _look_at_certificates(self) -> None:
        """Tell of new files that are no good; Patroni takes up good ones itself, see pgha.start_patroni."""
        found = fingerprint()
        if found != self._certificates:
            tls_context()
            self._certificates = found

    def _is_primary(self) -> bool:
        if self._connection is None:
            self._connection = self._try_connect()
        if self._connection is None:
            return False
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT NOT pg_is_in_recovery()")
            return bool(cursor.fetchone()[0])

    def _look_at_label(self) -> None:
        """See to this pod's label; what is urgent about it comes over the pipe."""
        if self._connection is None:
            return
        if self._is_leading:
            # This container, or the API server, may have been away when it should have been told.
            self._mover.ask()
            if self._was_leading and self._reads:
                # Not in the first round: proxies let the second of two changes wait; `role` must go first.
                self._api.call("PATCH", f"/pods/{self._pod}", {"metadata": {"labels": {READS: None}}})
                self._reads = False
            self._was_leading, self._replica_until = True, 0.0
            return
        self._was_leading, self._reads = False, True
        now = time.monotonic()
        if now < self._replica_until:
            return
        # Before the lock is looked at: who gets it meanwhile changes the pod, and the API refuses this then.
        path = f"/pods/{self._pod}"
        version = self._api.call("GET", path)["metadata"]["resourceVersion"]
        # A former primary keeps its label until there is a new one, see pgha.label.
        if holder(self._api, self._scope) in {"", self._pod}:
            return
        if self._api.patch_unchanged(path, version, {"labels": {"role": "replica", READS: "true"}}):
            # It finds nothing to do, and has an open connection when there is.
            self._mover.ask()
            self._replica_until = now + LABEL_PERIOD

    def _look_at_lock(self) -> None:
        if self._is_leading:
            self._lock.forget()
        else:
            self._lock.look(self._connection)

    def _look_at_slots(self) -> None:
        for name in renew_lost_slots(self._connection, self._scope):
            log(f"slot {name} made anew: it had lost its log, and its member may need `pgha reinit`")

    def _look_at_settings(self) -> None:
        with self._connection.cursor() as cursor:
            check_settings(cursor)

    def _look_at_disk(self) -> None:
        self._low = self._guard.look(self._connection, primary=self._is_leading)

    def _reconcile(self, desired: Desired) -> None:
        if desired.digest != self._applied or time.monotonic() >= self._again_at:
            self._carry_out(desired)
        if not desired.is_short:
            self._roles = desired.version
        self._version = ""
        if desired.problems or self._refused:
            raise OSError("; ".join((*desired.problems, *self._refused)))
        if "settings" not in self._said:
            self._version = desired.version

    def _carry_out(self, desired: Desired) -> None:
        reconciler = Reconciler()
        try:
            for change in reconciler.run(desired):
                log(change)
        except psycopg.Error:
            # An extension may come with a new image only, and members of that one wait for their roles.
            is_there = self._connection is not None and not desired.is_short
            if is_there and are_ready(self._connection, desired.roles):
                reconciler.check(desired)
                self._roles = desired.version
            raise
        reconciler.check(desired)
        self._applied, self._refused = desired.digest, reconciler.refused
        self._again_at = time.monotonic() + REFUSED_PERIOD if self._refused else math.inf

    def _give_authority(self, desired: Desired) -> None:
        secret = desired.trust
        if secret and give_authority(self._api, secret, desired.trusted, TLS / "ca.crt"):
            log(f"gave the authority of the certificates to the Secret {secret}")

    def _report(self) -> None:
        problems = [text for name, text in sorted(self._said.items()) if name != "report"]
        if self._low:
            problems.append(f"disk: {self._low}")
        text = json.dumps({"version": self._version, "roles": self._roles, "problems": problems})
        if text != self._told:
            self._api.annotate(self._pod, {ANNOTATION: text})
            self._told = text


def stop(_: int, __: object) -> None:
    """End at once; process 1 would not hear of it otherwise, and hold the pod until its grace is over."""
    sys.exit(0)


def main() -> None:
    """Run until told to stop."""
    signal.signal(signal.SIGTERM, stop)
    pod, scope = os.environ["POD_NAME"], os.environ["PATRONI_SCOPE"]
    # A connection of its own: what the keeper does else must not hold it up.
    mover = Mover(Api.in_cluster(), pod, scope, log)
    mover.start()
    Keeper(Patroni.at, Api.in_cluster(), mover, pod, scope).run()
