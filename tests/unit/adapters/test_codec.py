from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from releaser.adapters import codec
from releaser.adapters.codec import CodecError
from releaser.core.model import Artifact, Bundle, Image, Move, Phase, Promotion

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
digests = st.binary(min_size=32, max_size=32).map(lambda data: f"sha256:{data.hex()}")
versions = st.from_regex(r"\A(0|[1-9][0-9]?)\.0\.[1-9](-h[0-9a-f]{4})?(\+[a-z]{2})?\Z")
names = st.from_regex(r"\A[a-z]{1,6}(-[a-z0-9]{1,3})?\Z")
bundles = st.builds(
    Bundle,
    version=versions,
    commit=texts,
    charts=st.dictionaries(names, st.builds(Artifact, versions, digests), max_size=3),
    images=st.dictionaries(names, st.builds(Image, names, digests, texts), max_size=3),
)
times = st.datetimes(timezones=st.just(UTC))
revisions = st.none() | st.integers(1, 99)
promotions = st.builds(
    Promotion,
    id=names,
    kind=st.sampled_from(["promotion", "rollback"]),
    stage=names,
    bundle=bundles,
    phase=st.sampled_from(Phase),
    by=texts,
    started=times,
    finished=st.none() | times,
    former=texts,
    message=texts,
    step=texts,
    moves=st.dictionaries(names, st.builds(Move, revisions, revisions), max_size=3),
)


@given(bundle=bundles)
def test_a_bundle_comes_back(bundle: Bundle) -> None:
    data = codec.dump(codec.bundle_to_dict(bundle))

    assert codec.bundle_from_dict(codec.parse(data)) == bundle


@given(promotion=promotions)
def test_a_promotion_comes_back(promotion: Promotion) -> None:
    data = codec.dump(codec.promotion_to_dict(promotion))

    assert codec.promotion_from_dict(codec.parse(data)) == promotion


def test_the_bytes_of_a_bundle() -> None:
    """Another order or spacing would be another digest of the same bundle."""
    digest = "sha256:" + "a" * 64
    charts = {"notejam": Artifact("1.0.0", digest)}
    bundle = Bundle("1.0.0", "abc", charts, {"app": Image("app", digest)}, digest="sha256:own")

    assert codec.dump(codec.bundle_to_dict(bundle)).decode() == (
        '{"apiVersion":"releaser/v1","charts":{"notejam":{"digest":"' + digest + '","version":"1.0.0"}},'
        '"commit":"abc","images":{"app":{"digest":"' + digest + '","repository":"app"}},'
        '"kind":"ReleaseBundle","version":"1.0.0"}'
    )


def record() -> dict[str, object]:
    return {
        "apiVersion": "releaser/v1",
        "kind": "Promotion",
        "id": "a",
        "promotionKind": "promotion",
        "stage": "testing",
        "bundle": {"version": "1.0.0", "charts": {}, "images": {}},
        "phase": "Running",
        "started": "2026-01-02T03:04:05+02:00",
        "moves": {},
    }


def test_a_record_without_what_was_added_later() -> None:
    found = codec.promotion_from_dict({**record(), "new": {"in": "the next release"}})

    assert found.started == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)
    assert found.started.tzinfo == timezone(timedelta(hours=2))
    assert (found.finished, found.former, found.bundle.digest) == (None, "", "")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"apiVersion": "releaser/v2"}, "it is a releaser/v2 Promotion, not a releaser/v1 Promotion"),
        ({"kind": "ReleaseBundle"}, "it is a releaser/v1 ReleaseBundle, not a releaser/v1 Promotion"),
        ({"phase": "Dancing"}, "phase: 'Dancing' is not a valid Phase"),
        ({"phase": None}, "phase is missing"),
        ({"started": "yesterday"}, "started: Invalid isoformat string: 'yesterday'"),
        ({"started": "2026-01-02T03:04:05"}, "started: '2026-01-02T03:04:05' has no time zone"),
        ({"started": 5}, "started is no text"),
        ({"moves": []}, "moves is no mapping"),
        ({"moves": {"a": {"before": "1"}}}, "before is no revision"),
        ({"bundle": "x"}, "bundle is no mapping"),
        ({"bundle": {"version": "1", "charts": {}}}, "images is missing"),
    ],
)
def test_a_record_that_cannot_be_read(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(CodecError) as caught:
        codec.promotion_from_dict({**record(), **changes})

    assert str(caught.value) == problem


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "\x00", "[" * 100_000, b"\xff"])
def test_what_is_no_object(text: str | bytes) -> None:
    with pytest.raises(CodecError, match="it is no JSON"):
        codec.parse(text)


@given(data=st.recursive(st.none() | st.booleans() | st.integers() | texts, st.lists) | st.just({}))
def test_anything_is_read_or_refused(data: object) -> None:
    """No shape of JSON makes it stumble."""
    for key in record():
        changed = {**record(), key: data}
        try:
            codec.promotion_from_dict(codec.parse(json.dumps(changed)))
        except CodecError:
            continue
