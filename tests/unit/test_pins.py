"""Pins: what a values file says about the bundle, and what Helm gets."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from releaser.core.diff import diff_values
from releaser.core.model import Chart
from releaser.core.pins import find_changed, make_bundle_pins, make_chart_pins, merge_pins
from tests.unit.builders import APP, PIPELINE, V1, V2

KEYS = st.sampled_from(["image", "web", "digest", "repository", "replicas"])
TREES = st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(KEYS, below, max_size=3),
    max_leaves=6,
)
VALUES = st.dictionaries(KEYS, TREES, max_size=4)
CHART_KEYS = st.sampled_from(["image", "web", "web.image", "web.image.digest"])
BUNDLES = st.sampled_from([V1, V2])


def make_pins(key: str) -> dict[tuple[str, ...], str]:
    return dict(make_chart_pins(PIPELINE, Chart("notejam", "notejam", {"app": key}), V2))


@pytest.mark.parametrize(
    ("key", "path"), [("image", ("image",)), ("web.image", ("web", "image")), ("a.b.c", ("a", "b", "c"))]
)
def test_a_chart_is_pinned_by_repository_and_digest_below_the_image_s_key(
    key: str, path: tuple[str, ...]
) -> None:
    assert make_pins(key) == {
        (*path, "repository"): "registry.test/notejam/app",
        (*path, "digest"): V2.images["app"].digest,
    }


def test_each_image_of_a_chart_has_its_pins() -> None:
    chart = Chart("notejam", "notejam", {"app": "web.image", "postgres": "backup.image"})
    pins = make_chart_pins(PIPELINE, chart, V2)
    assert pins["web", "image", "repository"] == "registry.test/notejam/app"
    assert pins["backup", "image", "repository"] == "registry.test/notejam/postgres"
    assert len(pins) == 4


def test_a_chart_without_images_has_no_pins() -> None:
    assert make_chart_pins(PIPELINE, Chart("notejam", "notejam", {}), V2) == {}


def test_the_bundle_file_names_the_bundle_and_its_charts() -> None:
    assert merge_pins({}, make_bundle_pins(V2)) == {
        "version": "2.0.0",
        "digest": V2.digest,
        "commit": V2.commit,
        "charts": {
            "postgres-ha": {"version": "1.0.0", "digest": V2.charts["postgres-ha"].digest},
            "notejam": {"version": "2.0.0", "digest": V2.charts["notejam"].digest},
        },
    }


@pytest.mark.parametrize("image", ["registry.test/notejam/app", None, [], {}])
def test_whatever_stands_where_the_pins_belong_is_replaced(image: object) -> None:
    merged = merge_pins({"image": image, "replicas": 2}, make_pins("image"))
    assert merged == {
        "image": {"repository": "registry.test/notejam/app", "digest": V2.images["app"].digest},
        "replicas": 2,
    }


def test_what_stands_beside_the_pins_stays() -> None:
    merged = merge_pins({"image": {"pullPolicy": "Always", "digest": "old"}}, make_pins("image"))
    assert merged["image"]["pullPolicy"] == "Always"


def test_only_pins_that_differ_are_changed() -> None:
    values = {"image": {"repository": "registry.test/notejam/app", "digest": V1.images["app"].digest}}
    assert find_changed(values, make_chart_pins(PIPELINE, APP, V2)) == ["image.digest"]
    assert find_changed(values, make_chart_pins(PIPELINE, APP, V1)) == []
    assert find_changed({}, make_pins("image")) == ["image.repository", "image.digest"]
    assert find_changed({"image": "text"}, make_pins("image")) == ["image.repository", "image.digest"]


@given(VALUES, CHART_KEYS)
def test_merged_pins_are_not_changed_any_more(values: dict[str, Any], key: str) -> None:
    pins = make_pins(key)
    merged = merge_pins(values, pins)
    assert find_changed(merged, pins) == []
    assert merge_pins(merged, pins) == merged


@given(VALUES, CHART_KEYS)
def test_nothing_to_change_means_that_merging_changes_nothing(values: dict[str, Any], key: str) -> None:
    pins = make_pins(key)
    assert (merge_pins(values, pins) == values) is (find_changed(values, pins) == [])


@given(VALUES, CHART_KEYS)
def test_the_given_values_stay_as_they_are(values: dict[str, Any], key: str) -> None:
    before = copy.deepcopy(values)
    merge_pins(values, make_pins(key))
    assert values == before


@given(VALUES, CHART_KEYS)
def test_merging_touches_nothing_outside_the_image_s_key(values: dict[str, Any], key: str) -> None:
    touched = diff_values(values, merge_pins(values, make_pins(key)))
    parents = [key[:end] for end in range(1, len(key) + 1) if key[end : end + 1] in {".", ""}]
    for line in touched:
        name = line.split(":")[0].split("[")[0]
        assert name in parents or name.startswith(f"{key}.")


@given(BUNDLES, BUNDLES)
def test_bundles_differ_when_their_pins_do(one: Any, other: Any) -> None:
    held = merge_pins({}, make_bundle_pins(one))
    assert (find_changed(held, make_bundle_pins(other)) == []) is (one == other)
