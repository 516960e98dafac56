"""What a stage must answer and run to count as verified."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from releaser.core.model import Chart, Check, Workload
from releaser.core.verification import check_answer, check_images, fill
from tests.unit.builders import APP, REGISTRY, V1, V2, make_container, make_job, make_pod, make_workload

APP_IMAGE = f"{REGISTRY}/app"
DIGEST = V2.images["app"].digest


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{version}", "2.0.0"),
        ("{commit}", V2.commit),
        ("{app.tag}", "2.0.0"),
        ("{app.digest}", DIGEST),
        ("{postgres.tag}", "1.0.0"),
        ("v{version}+{app.tag}", "v2.0.0+2.0.0"),
        ("plain", "plain"),
        ("{} { version } {", "{} { version } {"),
    ],
)
def test_placeholders_stand_for_parts_of_the_bundle(text: str, filled: str) -> None:
    assert fill(text, V2) == filled


@pytest.mark.parametrize(
    "text", ["{app.name}", "{web.tag}", "{Version}", "{app_tag}", "ok {version} {digest}", "{0}"]
)
def test_an_unknown_placeholder_is_an_error(text: str) -> None:
    with pytest.raises(KeyError):
        fill(text, V2)


VERSION = Check("/version", json={"version": "{app.tag}", "commit": "{commit}"})


@pytest.mark.parametrize(
    ("check", "status", "body"),
    [
        (Check("/readyz"), 200, ""),
        (Check("/gone", status=404), 404, "no"),
        (Check("/signin/", contains="Sign in"), 200, "<h1>Sign in</h1>"),
        (VERSION, 200, f'{{"version": "2.0.0", "commit": "{V2.commit}", "more": 1}}'),
        (
            Check("/n", json={"count": "3", "ok": "true", "none": "null"}),
            200,
            '{"count":3,"ok":true,"none":null}',
        ),
        (Check("/both", contains="2.0", json={"version": "{version}"}), 200, '{"version": "2.0.0"}'),
    ],
)
def test_a_good_answer_has_nothing_wrong(check: Check, status: int, body: str) -> None:
    assert check_answer(check, V2, status, body) == ""


@pytest.mark.parametrize(
    ("check", "status", "body", "wrong"),
    [
        (
            Check("/readyz"),
            503,
            '{"database": "away"}',
            '/readyz answered 503, not 200: {"database": "away"}',
        ),
        (Check("/readyz"), 302, " \n", "/readyz answered 302, not 200: (empty)"),
        (Check("/readyz"), 500, "<html>\n  <b>no</b>", "/readyz answered 500, not 200: <html> <b>no</b>"),
        (Check("/gone", status=404), 200, "here", "/gone answered 200, not 404: here"),
        (Check("/signin/", contains="Sign in"), 200, "sign in", "/signin/ does not contain 'Sign in'"),
        (
            VERSION,
            200,
            f'{{"version": "1.0.0", "commit": "{V2.commit}"}}',
            "/version says version '1.0.0', not '2.0.0'",
        ),
        (VERSION, 200, '{"version": 2}', "/version says version '2', not '2.0.0'"),
        (VERSION, 200, '{"version": null}', "/version says version 'null', not '2.0.0'"),
        (VERSION, 200, '{"commit": "c"}', "/version has no key version, which must be '2.0.0'"),
        (VERSION, 200, "2.0.0", "/version is not a JSON object: 2.0.0"),
        (VERSION, 200, '["2.0.0"]', '/version is not a JSON object: ["2.0.0"]'),
        (VERSION, 200, "", "/version is not a JSON object: (empty)"),
    ],
)
def test_a_wrong_answer_says_what_is_wrong(check: Check, status: int, body: str, wrong: str) -> None:
    assert check_answer(check, V2, status, body) == wrong


def test_a_long_answer_is_cut() -> None:
    assert check_answer(Check("/"), V2, 500, "x" * 999) == f"/ answered 500, not 200: {'x' * 160}"


@given(st.text(max_size=40), st.integers(100, 599))
def test_any_answer_is_judged_in_one_line(body: str, status: int) -> None:
    wrong = check_answer(VERSION, V2, status, body)
    assert len(wrong.splitlines()) == 1


# --- the images of the pods ---


def make_running(
    image: str = f"{APP_IMAGE}@{DIGEST}", image_id: str = f"{APP_IMAGE}@{DIGEST}", **pod: Any
) -> Workload:
    return make_workload(pods=[make_pod("web-1", make_container(image=image, image_id=image_id), **pod)])


def check(*workloads: Workload, chart: Chart = APP) -> str:
    return check_images(chart, V2, workloads, REGISTRY)


@pytest.mark.parametrize(
    "image", [APP_IMAGE, f"{APP_IMAGE}:2.0.0", f"{APP_IMAGE}@{DIGEST}", f"{APP_IMAGE}:2.0.0@{DIGEST}"]
)
def test_every_way_to_name_the_image_is_known(image: str) -> None:
    assert check(make_running(image)) == ""
    wrong = check(make_running(image, f"{APP_IMAGE}@{V1.images['app'].digest}"))
    assert wrong == f"web-1/web runs {APP_IMAGE}@{V1.images['app'].digest}, not {DIGEST}"


def test_a_registry_with_a_port_is_no_tag() -> None:
    workload = make_running("localhost:5001/notejam/app:2", "localhost:5001/notejam/app@sha256:00")
    assert check_images(APP, V2, [workload], "localhost:5001/notejam").startswith("web-1/web runs")


def test_a_container_that_does_not_run_yet_is_wrong() -> None:
    assert check(make_running(image_id="")) == f"web-1/web runs nothing, not {DIGEST}"


def test_a_tag_that_was_moved_is_found_by_what_runs() -> None:
    assert check(make_running(f"{APP_IMAGE}:2.0.0", f"{APP_IMAGE}@sha256:00")) != ""


def test_every_pod_of_every_workload_is_looked_at() -> None:
    bad = make_pod("web-2", make_container("proxy", image="proxy:1"), make_container(image_id="sha256:00"))
    good = make_workload("StatefulSet", "db")
    assert check(good, make_workload(pods=[make_pod(), bad])).startswith("web-2/web runs sha256:00")


@pytest.mark.parametrize(
    "image", ["proxy:1", f"{REGISTRY}/postgres@sha256:00", f"{REGISTRY}/app-exporter:1", f"x/{APP_IMAGE}:1"]
)
def test_images_from_elsewhere_are_not_the_bundle_s(image: str) -> None:
    assert check(make_running(image, "sha256:00")) == ""


def test_an_ending_pod_counts_and_the_shell_of_an_evicted_one_does_not() -> None:
    assert check(make_running(image_id="sha256:00", is_terminating=True)) != ""
    assert check(make_running(image_id="sha256:00", phase="Failed", reason="Evicted")) == ""


def test_jobs_of_before_do_not_count() -> None:
    assert check(make_job(pods=[make_pod("migrate-1", make_container(image_id="sha256:00"))])) == ""
