"""The lock of a stage: a Lease that its holder renews.

Every write names the version that it has read, so of two who want the lock one gets a conflict.
A holder that stops renewing loses the lock after its duration; clocks of those who work on one
stage must agree within seconds for that.
"""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import httpx2
from lightkube import Client
from lightkube.models.coordination_v1 import LeaseSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.coordination_v1 import Lease

from releaser.adapters.kube import KubeClients, status_of, translated
from releaser.core.model import Lock, Stage
from releaser.errors import LockedError, ReleaserError

NAME = "releaser"
MANAGED_BY = {"app.kubernetes.io/managed-by": "releaser"}
DURATION = timedelta(seconds=30)
RENEW_EVERY = timedelta(seconds=10)
RETRY_EVERY = timedelta(seconds=2)


def fetch_lease(clients: KubeClients, stage: Stage) -> Lease | None:
    """Return the Lease of a stage, or None when there never was one."""
    client = clients.client(stage.context)
    with translated(stage.context, stage.namespace):
        try:
            return client.get(Lease, NAME, namespace=stage.namespace)
        except httpx2.HTTPStatusError as error:
            if status_of(error) == HTTPStatus.NOT_FOUND:
                return None
            raise


def to_lock(lease: Lease) -> Lock:
    """Return what a Lease says."""
    spec = lease.spec or LeaseSpec()
    created = lease.metadata.creationTimestamp if lease.metadata else None
    renewed = spec.renewTime or spec.acquireTime or created or datetime.now(UTC)
    return Lock(
        holder=spec.holderIdentity or "",
        acquired=spec.acquireTime or renewed,
        renewed=renewed,
        duration=timedelta(seconds=spec.leaseDurationSeconds or DURATION.total_seconds()),
    )


class HeldLease:
    """A Lease that is ours, renewed by a thread until it is released or lost."""

    def __init__(
        self,
        client: Client,
        stage: Stage,
        lease: Lease,
        *,
        duration: timedelta = DURATION,
        renew_every: timedelta = RENEW_EVERY,
        retry_every: timedelta = RETRY_EVERY,
    ) -> None:
        self._client = client
        self._stage = stage
        self._lease = lease
        self._duration = duration.total_seconds()
        self._renew_every = renew_every.total_seconds()
        self._retry_every = retry_every.total_seconds()
        self._renewed = time.monotonic()
        self._is_lost = False
        self._is_ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="renew lock", daemon=True)
        self._thread.start()

    def is_held(self) -> bool:
        """Whether nobody else can have taken it."""
        return not self._is_lost and time.monotonic() - self._renewed < self._duration

    def join(self) -> None:
        """Wait until it is renewed no more: after it was lost or left."""
        self._thread.join()

    def leave(self) -> None:
        """Stop renewing: it ends by itself after its duration."""
        self._is_ended.set()
        self.join()

    def release(self) -> None:
        """Stop renewing and give it back. When that cannot be done it ends by itself."""
        self.leave()
        if not self.is_held() or self._lease.spec is None:
            return
        self._lease.spec.holderIdentity = None
        with contextlib.suppress(ReleaserError):
            self._replace()

    def _run(self) -> None:
        wait = self._renew_every
        while not self._is_ended.wait(wait):
            if time.monotonic() - self._renewed >= self._duration:
                self._is_lost = True  # from here on somebody else may hold it
                return
            try:
                self._renew()
                wait = self._renew_every
            except ReleaserError:
                wait = self._retry_every
            if self._is_lost:
                return

    def _renew(self) -> None:
        if self._lease.spec is not None:
            self._lease.spec.renewTime = micro_now()
        begun = time.monotonic()
        if self._replace():
            # Counted from before the request: others count from the time that it carries.
            self._renewed = begun

    def _replace(self) -> bool:
        """Write the Lease; when somebody else has written it, look whether it is still ours."""
        stage = self._stage
        with translated(stage.context, stage.namespace):
            try:
                self._lease = self._client.replace(self._lease)
            except httpx2.HTTPStatusError as error:
                if status_of(error) == HTTPStatus.NOT_FOUND:
                    self._is_lost = True
                    return False
                if status_of(error) != HTTPStatus.CONFLICT:
                    raise
            else:
                return True
            found = self._client.get(Lease, NAME, namespace=stage.namespace)
        if _owner(found) != _owner(self._lease):
            self._is_lost = True
            return False
        # Somebody put a label on it: the next try writes over the newer version.
        self._lease.metadata = found.metadata
        raise ReleaserError("the lease was changed by somebody else")


def _owner(lease: Lease) -> tuple[str | None, datetime | None]:
    spec = lease.spec or LeaseSpec()
    return spec.holderIdentity, spec.acquireTime


def micro_now() -> datetime:
    """Return the time with a fraction: the API takes only times that have six digits of it."""
    now = datetime.now(UTC)
    return now.replace(microsecond=max(now.microsecond, 1))


def acquire(clients: KubeClients, stage: Stage, holder: str) -> HeldLease:
    """Take the lock; LockedError when another holds it or was faster."""
    found = fetch_lease(clients, stage)
    client = clients.client(stage.context)
    now = micro_now()
    spec = LeaseSpec(
        holderIdentity=holder,
        acquireTime=now,
        renewTime=now,
        leaseDurationSeconds=int(DURATION.total_seconds()),
        leaseTransitions=0,
    )
    with translated(stage.context, stage.namespace):
        try:
            if found is None:
                lease = client.create(
                    Lease(
                        metadata=ObjectMeta(name=NAME, namespace=stage.namespace, labels=MANAGED_BY),
                        spec=spec,
                    )
                )
            else:
                lock = to_lock(found)
                if lock.is_held(now):
                    raise make_locked_error(stage, lock, now)
                spec.leaseTransitions = ((found.spec.leaseTransitions if found.spec else 0) or 0) + 1
                found.spec = spec
                lease = client.replace(found)
        except httpx2.HTTPStatusError as error:
            if status_of(error) != HTTPStatus.CONFLICT:
                raise
        else:
            return HeldLease(client, stage, lease)
    winner = fetch_lease(clients, stage)
    raise make_locked_error(stage, to_lock(winner) if winner else None, now)


def make_locked_error(stage: Stage, lock: Lock | None, now: datetime) -> LockedError:
    """Say who holds the lock and what to do."""
    if lock is None or not lock.holder:
        return LockedError(
            f"{stage.name} was locked by somebody else in this moment", "run the same command again"
        )
    since = lock.acquired.strftime("%Y-%m-%d %H:%M:%S UTC")
    ago = max(int((now - lock.renewed).total_seconds()), 0)
    seconds = int(lock.duration.total_seconds())
    return LockedError(
        f"{stage.name} is locked by {lock.holder} since {since}, renewed {ago} s ago",
        f"wait until it ends; if it was killed, its lock ends {seconds} s after it was renewed",
    )
