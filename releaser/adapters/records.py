"""Promotions and the lock of a stage, kept in its namespace."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus

import httpx2
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap

from releaser.adapters import codec, lease
from releaser.adapters.kube import KubeClients, status_of, translated
from releaser.core.model import Lock, Promotion, Stage
from releaser.errors import InputError

KIND = {"app.kubernetes.io/managed-by": "releaser", "releaser/kind": "promotion"}
KEY = "promotion.json"
KEPT = 50
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RecordsAdapter:
    """One ConfigMap for each promotion, one Lease for the lock. It takes one lock at a time."""

    def __init__(self, clients: KubeClients | None = None) -> None:
        self._clients = clients or KubeClients()
        self._held: lease.HeldLease | None = None

    def fetch_promotions(self, stage: Stage) -> tuple[Promotion, ...]:
        """Return the kept promotions, newest first; none when the namespace does not exist."""
        promotions = [_read(stage, item) for item in self._list(stage)]
        return tuple(sorted(promotions, key=lambda item: (item.started, item.id), reverse=True))

    def save_promotion(self, stage: Stage, promotion: Promotion) -> None:
        """Create or replace the record of a promotion, and drop those beyond the newest 50."""
        labels = {**KIND, "releaser/stage": stage.name, "releaser/phase": promotion.phase.value}
        record = ConfigMap(
            metadata=ObjectMeta(name=f"promotion-{promotion.id}", namespace=stage.namespace, labels=labels),
            data={KEY: codec.dump(codec.promotion_to_dict(promotion)).decode()},
        )
        client = self._clients.client(stage.context)
        with translated(stage.context, stage.namespace):
            try:
                client.replace(record)
            except httpx2.HTTPStatusError as error:
                if status_of(error) != HTTPStatus.NOT_FOUND:
                    raise
                client.create(record, namespace=stage.namespace)
            else:
                return
        self._prune(stage, record)

    def _prune(self, stage: Stage, newest: ConfigMap) -> None:
        """Delete the oldest records, but never the one just written."""
        found = sorted(self._list(stage), key=_age, reverse=True)
        client = self._clients.client(stage.context)
        for item in found[KEPT:]:
            name = _name(item)
            if name == _name(newest):
                continue
            with translated(stage.context, stage.namespace):
                try:
                    client.delete(ConfigMap, name, namespace=stage.namespace)
                except httpx2.HTTPStatusError as error:
                    if status_of(error) != HTTPStatus.NOT_FOUND:
                        raise

    def _list(self, stage: Stage) -> list[ConfigMap]:
        client = self._clients.client(stage.context)
        with translated(stage.context, stage.namespace):
            return list(client.list(ConfigMap, namespace=stage.namespace, labels=dict(KIND)))

    def fetch_lock(self, stage: Stage) -> Lock | None:
        """Return the lock as it stands, held or not; None when there never was one."""
        found = lease.fetch_lease(self._clients, stage)
        return lease.to_lock(found) if found else None

    def acquire_lock(self, stage: Stage, holder: str) -> None:
        """Take the lock and keep renewing it in the background; LockedError when another holds it."""
        self._held = lease.acquire(self._clients, stage, holder)

    def is_lock_held(self) -> bool:
        """Whether the lock taken is still ours: False once a renewal was lost."""
        return self._held is not None and self._held.is_held()

    def release_lock(self) -> None:
        """Stop renewing and give the lock back."""
        held, self._held = self._held, None
        if held is not None:
            held.release()


def _read(stage: Stage, found: ConfigMap) -> Promotion:
    try:
        return codec.promotion_from_dict(codec.parse((found.data or {}).get(KEY, "")))
    except codec.CodecError as error:
        name = _name(found)
        command = f"kubectl --context {stage.context} -n {stage.namespace}"
        raise InputError(
            f"the record of a promotion in ConfigMap {stage.namespace}/{name} cannot be read: {error}",
            f"look at it: {command} get configmap {name} -o yaml; "
            f"if it is worth nothing: {command} delete configmap {name}",
        ) from error


def _name(found: ConfigMap) -> str:
    return str(found.metadata.name if found.metadata else "")


def _age(found: ConfigMap) -> tuple[datetime, str]:
    """Return when it was written: the promotion's own time, or the object's when it has none."""
    created = (found.metadata.creationTimestamp if found.metadata else None) or EPOCH
    try:
        return codec.promotion_from_dict(codec.parse((found.data or {}).get(KEY, ""))).started, _name(found)
    except codec.CodecError:
        return created, _name(found)
