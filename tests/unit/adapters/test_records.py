"""Records and lock against a tiny API that knows versions and conflicts."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx2
import pytest

from releaser.adapters import lease
from releaser.adapters.records import RecordsAdapter
from releaser.core.model import Bundle, Phase, Promotion, Stage
from releaser.errors import ForbiddenError, InputError, LockedError, UnavailableError
from tests.unit.adapters.tiny_api import TinyApi, TinyClients, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STAGE = Stage(
    "testing", None, "kind-notejam", "notejam-testing", "", (), timedelta(minutes=5), timedelta(minutes=1)
)
MAPS = "/api/v1/namespaces/notejam-testing/configmaps"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/notejam-testing/leases/releaser"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def make_promotion(number: int) -> Promotion:
    return Promotion(
        id=f"{number:03}",
        kind="promotion",
        stage="testing",
        bundle=Bundle("1.0.0", "", {}, {}, "sha256:aa"),
        phase=Phase.RUNNING,
        by="jane",
        started=BEGIN + timedelta(minutes=number),
    )


@pytest.fixture
def api() -> TinyApi:
    return TinyApi()


@pytest.fixture
def connect(api: TinyApi) -> Iterator[Callable[[], RecordsAdapter]]:
    made: list[RecordsAdapter] = []

    def make() -> RecordsAdapter:
        made.append(RecordsAdapter(TinyClients(api)))
        return made[-1]

    yield make
    api.before = lambda _: None
    for records in made:
        records.release_lock()


@pytest.fixture
def records(connect: Callable[[], RecordsAdapter]) -> RecordsAdapter:
    return connect()


# --- promotions --------------------------------------------------------------------------------


def test_promotions_come_back_newest_first(records: RecordsAdapter, api: TinyApi) -> None:
    promotions = [make_promotion(number) for number in (2, 1, 3)]
    for promotion in promotions:
        records.save_promotion(STAGE, promotion)
    ended = replace(promotions[1], phase=Phase.FAILED, finished=BEGIN, message="it was bad")
    records.save_promotion(STAGE, ended)

    assert records.fetch_promotions(STAGE) == (promotions[2], promotions[0], ended)
    record = api.objects[f"{MAPS}/promotion-001"]
    assert record["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "releaser",
        "releaser/kind": "promotion",
        "releaser/stage": "testing",
        "releaser/phase": "Failed",
    }
    assert list(record["data"]) == ["promotion.json"]
    assert json.loads(record["data"]["promotion.json"])["message"] == "it was bad"


def test_only_the_newest_fifty_are_kept(records: RecordsAdapter, api: TinyApi) -> None:
    api.put(f"{MAPS}/somebody-elses", {"metadata": {"name": "somebody-elses"}})
    for number in range(53):
        records.save_promotion(STAGE, make_promotion(number))

    found = records.fetch_promotions(STAGE)

    assert [item.id for item in found] == [f"{number:03}" for number in range(52, 2, -1)]
    assert f"{MAPS}/somebody-elses" in api.objects


def test_an_old_promotion_is_not_dropped_as_it_is_written(records: RecordsAdapter, api: TinyApi) -> None:
    for number in range(1, 51):
        records.save_promotion(STAGE, make_promotion(number))

    records.save_promotion(STAGE, make_promotion(0))

    assert f"{MAPS}/promotion-000" in api.objects


@pytest.mark.parametrize("data", [None, {}, {"promotion.json": "{"}, {"promotion.json": '{"kind": "x"}'}])
def test_a_record_that_cannot_be_read_is_named(
    records: RecordsAdapter, api: TinyApi, data: dict[str, str] | None
) -> None:
    records.save_promotion(STAGE, make_promotion(1))
    api.objects[f"{MAPS}/promotion-001"]["data"] = data

    with pytest.raises(InputError) as caught:
        records.fetch_promotions(STAGE)

    assert caught.value.message.startswith(
        "the record of a promotion in ConfigMap notejam-testing/promotion-001 cannot be read: it is "
    )
    assert "delete configmap promotion-001" in caught.value.hint


def test_a_record_that_may_not_be_written(records: RecordsAdapter, api: TinyApi) -> None:
    api.before = lambda request: refuse(403, "no") if request.method == "POST" else None

    with pytest.raises(ForbiddenError):
        records.save_promotion(STAGE, make_promotion(1))


# --- the lock ----------------------------------------------------------------------------------


def test_take_and_give_back(records: RecordsAdapter, api: TinyApi) -> None:
    assert records.fetch_lock(STAGE) is None
    assert not records.is_lock_held()

    records.acquire_lock(STAGE, "jane (1)")

    lock = records.fetch_lock(STAGE)
    assert lock is not None
    assert (lock.holder, lock.duration) == ("jane (1)", timedelta(seconds=30))
    assert lock.is_held(datetime.now(UTC))
    assert records.is_lock_held()

    records.release_lock()
    records.release_lock()

    lock = records.fetch_lock(STAGE)
    assert lock is not None
    assert lock.holder == ""
    assert not records.is_lock_held()
    assert api.objects[LEASE]["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "releaser"}


def test_times_have_six_digits(records: RecordsAdapter, api: TinyApi) -> None:
    """The API refuses a MicroTime without them."""
    records.acquire_lock(STAGE, "jane (1)")

    for key in ("acquireTime", "renewTime"):
        assert len(api.objects[LEASE]["spec"][key].partition(".")[2].rstrip("Z")) == 6


def test_a_held_lock_names_its_holder(connect: Callable[[], RecordsAdapter]) -> None:
    first, second = connect(), connect()
    first.acquire_lock(STAGE, "jane (1)")

    with pytest.raises(LockedError) as caught:
        second.acquire_lock(STAGE, "joe (2)")

    assert caught.value.message.startswith("testing is locked by jane (1) since 20")
    assert caught.value.message.endswith(" UTC, renewed 0 s ago")
    assert caught.value.hint == (
        "wait until it ends; if it was killed, its lock ends 30 s after it was renewed"
    )
    assert first.is_lock_held()
    assert not second.is_lock_held()
    second.release_lock()
    assert first.is_lock_held()


def test_of_many_at_once_one_gets_it(connect: Callable[[], RecordsAdapter], api: TinyApi) -> None:
    """All have seen that it is free before the first of them writes."""
    adapters = [connect() for _ in range(8)]
    all_have_read = threading.Barrier(8)
    seen = threading.local()
    outcomes: list[str] = []

    def wait(request: httpx2.Request) -> None:
        if request.method in ("POST", "PUT") and not getattr(seen, "waited", False):
            seen.waited = True
            all_have_read.wait(10)

    api.before = wait

    def take(number: int) -> None:
        try:
            adapters[number].acquire_lock(STAGE, f"holder {number}")
            outcomes.append(f"holder {number}")
        except LockedError as error:
            outcomes.append(error.message)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    winners = [outcome for outcome in outcomes if outcome.startswith("holder")]
    assert len(winners) == 1
    assert all(f"locked by {winners[0]}" in outcome for outcome in outcomes if outcome not in winners)
    assert sum(item.is_lock_held() for item in adapters) == 1


def expire(api: TinyApi) -> None:
    spec = api.objects[LEASE]["spec"]
    past = (
        (datetime.now(UTC) - timedelta(seconds=31)).isoformat(timespec="microseconds").replace("+00:00", "Z")
    )
    api.put(LEASE, {**api.objects[LEASE], "spec": {**spec, "renewTime": past}})


def test_an_expired_lock_is_taken_over_and_the_former_holder_sees_it(
    api: TinyApi, connect: Callable[[], RecordsAdapter]
) -> None:
    clients = TinyClients(api)
    former = connect()
    former.acquire_lock(STAGE, "jane (1)")
    expire(api)

    successor = connect()
    successor.acquire_lock(STAGE, "joe (2)")

    assert api.objects[LEASE]["spec"]["leaseTransitions"] == 1
    former.release_lock()
    assert successor.is_lock_held()
    lock = lease.to_lock(lease.fetch_lease(clients, STAGE) or lease.Lease())
    assert lock.holder == "joe (2)"


def hold(api: TinyApi, duration: float = 0.6) -> lease.HeldLease:
    """Hold a lock whose times are short."""
    clients = TinyClients(api)
    lease.acquire(clients, STAGE, "jane (1)").leave()
    found = lease.fetch_lease(clients, STAGE)
    assert found is not None
    return lease.HeldLease(
        clients.client(STAGE.context),
        STAGE,
        found,
        duration=timedelta(seconds=duration),
        renew_every=timedelta(seconds=0.05),
        retry_every=timedelta(seconds=0.05),
    )


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_it_is_renewed(api: TinyApi) -> None:
    held = hold(api)
    first = api.objects[LEASE]["spec"]["renewTime"]

    wait_until(lambda: api.objects[LEASE]["spec"]["renewTime"] > first)
    writes = len(api.requests)
    wait_until(lambda: len(api.requests) > writes + 15)

    assert held.is_held()
    assert api.objects[LEASE]["spec"]["acquireTime"] < first or first
    held.release()
    assert "holderIdentity" not in api.objects[LEASE]["spec"]


def test_a_label_of_somebody_else_does_not_matter(api: TinyApi) -> None:
    held = hold(api)
    wait_until(lambda: "PUT" in api.requests[-1])

    found = api.objects[LEASE]
    api.put(LEASE, {**found, "metadata": {**found["metadata"], "labels": {"a": "b"}}})
    renewed = found["spec"]["renewTime"]
    wait_until(lambda: api.objects[LEASE]["spec"]["renewTime"] > renewed)

    assert held.is_held()
    assert api.objects[LEASE]["metadata"]["labels"] == {"a": "b"}
    held.release()


def test_a_short_outage_is_survived(api: TinyApi) -> None:
    held = hold(api, duration=5)
    api.before = lambda _: httpx2.ConnectError("away")
    failed = len(api.requests)
    wait_until(lambda: len(api.requests) > failed + 3)

    api.before = lambda _: None
    renewed = api.objects[LEASE]["spec"]["renewTime"]
    wait_until(lambda: api.objects[LEASE]["spec"]["renewTime"] > renewed)

    assert held.is_held()
    held.release()


def test_a_long_outage_loses_it_for_good(api: TinyApi) -> None:
    held = hold(api)
    api.before = lambda _: httpx2.ConnectError("away")

    wait_until(lambda: not held.is_held())
    held.join()
    api.before = lambda _: None
    writes = len(api.requests)

    assert not held.is_held()
    held.release()
    assert len(api.requests) == writes  # what may be another's is not touched


def test_a_deleted_lease_is_lost(api: TinyApi) -> None:
    held = hold(api)
    del api.objects[LEASE]

    wait_until(lambda: not held.is_held())
    held.release()

    assert LEASE not in api.objects


def test_a_lease_of_another_is_lost(api: TinyApi) -> None:
    held = hold(api, duration=30)
    wait_until(lambda: "PUT" in api.requests[-1])
    found = api.objects[LEASE]
    api.put(LEASE, {**found, "spec": {**found["spec"], "holderIdentity": "joe (2)"}})

    wait_until(lambda: not held.is_held())
    held.release()

    assert api.objects[LEASE]["spec"]["holderIdentity"] == "joe (2)"


def test_trouble_as_the_lock_is_taken(records: RecordsAdapter, api: TinyApi) -> None:
    api.before = lambda _: httpx2.ConnectError("away")

    with pytest.raises(UnavailableError):
        records.acquire_lock(STAGE, "jane (1)")

    assert not records.is_lock_held()


def test_trouble_as_it_is_given_back_is_no_error(records: RecordsAdapter, api: TinyApi) -> None:
    records.acquire_lock(STAGE, "jane (1)")
    api.before = lambda _: httpx2.ConnectError("away")

    records.release_lock()

    assert not records.is_lock_held()
