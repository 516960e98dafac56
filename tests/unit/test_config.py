"""The pipeline file: what it means, and what each mistake in it says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from releaser.config import DURATION, load_pipeline
from releaser.core.model import Chart, Check
from releaser.errors import InputError

GOOD = """\
registry: registry.test/notejam
context: kind-notejam
timeouts:
  rollout: 10m
  verify: 45s
charts:
  - name: postgres-ha
    release: notejam-db
    images: {postgres: image}
  - name: notejam
    release: notejam
    images: {app: image}
verify:
  - path: /readyz
  - path: /version
    json: {version: "{app.tag}"}
stages:
  - name: testing
    namespace: notejam-testing
    url: http://testing.test/
  - name: production
    namespace: notejam-production
    url: https://production.test
"""


class Files:
    """Writes a pipeline file and reads it as the releaser does."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "pipeline.yaml"

    def fails(self, content: str | bytes, **environment: str) -> str:
        """Return what is said about the file, without its folder."""
        self.path.write_bytes(content.encode() if isinstance(content, str) else content)
        return self.error(environment).message.replace(str(self.path), "FILE")

    def error(self, environment: dict[str, str] | None = None) -> InputError:
        with pytest.raises(InputError) as caught:
            load_pipeline(self.path, environment or {})
        assert caught.value.hint
        return caught.value


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def change(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


# --- what it means ---


def test_stages_and_charts_are_in_the_order_of_the_file(files: Files) -> None:
    files.path.write_text(GOOD)
    pipeline = load_pipeline(files.path, {})
    assert pipeline.registry == "registry.test/notejam"
    assert pipeline.charts == (
        Chart("postgres-ha", "notejam-db", {"postgres": "image"}),
        Chart("notejam", "notejam", {"app": "image"}),
    )
    assert [(stage.name, stage.previous) for stage in pipeline.stages] == [
        ("testing", None),
        ("production", "testing"),
    ]
    first = pipeline.stage("testing")
    assert (first.context, first.namespace, first.url) == (
        "kind-notejam",
        "notejam-testing",
        "http://testing.test",
    )
    assert first.checks == (Check("/readyz"), Check("/version", json={"version": "{app.tag}"}))
    assert (first.rollout_timeout, first.verify_timeout) == (timedelta(minutes=10), timedelta(seconds=45))


def test_a_stage_that_is_not_there_is_a_key_error(files: Files) -> None:
    files.path.write_text(GOOD)
    with pytest.raises(KeyError):
        load_pipeline(files.path, {}).stage("staging")


def test_a_stage_may_differ_in_context_timeouts_and_checks(files: Files) -> None:
    files.path.write_text(
        GOOD
        + "    context: other\n    timeouts: {rollout: 1h}\n    verify: [{path: /healthz, status: 204}]\n"
    )
    last = load_pipeline(files.path, {}).stages[-1]
    assert last.context == "other"
    assert last.checks == (Check("/healthz", status=204),)
    assert last.rollout_timeout == timedelta(hours=1)
    assert last.verify_timeout == timedelta(seconds=45), "what it does not name is that of the pipeline"


def test_a_stage_may_have_no_checks_of_its_own_and_no_context(files: Files) -> None:
    files.path.write_text(GOOD + '    context: ""\n    verify: []\n')
    last = load_pipeline(files.path, {}).stages[-1]
    assert (last.context, last.checks) == ("", ())


def test_without_a_url_nothing_is_asked(files: Files) -> None:
    files.path.write_text(change("    url: http://testing.test/\n", ""))
    assert load_pipeline(files.path, {}).stages[0].checks == ()


def test_an_empty_url_is_none_and_timeouts_have_defaults(files: Files) -> None:
    content = change("http://testing.test/", '""')
    files.path.write_text(content.replace("timeouts:\n  rollout: 10m\n  verify: 45s\n", ""))
    stage = load_pipeline(files.path, {}).stages[0]
    assert (stage.url, stage.checks) == ("", ())
    assert (stage.rollout_timeout, stage.verify_timeout) == (timedelta(minutes=5), timedelta(seconds=30))


@pytest.mark.parametrize("context", ["other", '""'])
def test_the_same_namespace_in_another_cluster_is_another_place(files: Files, context: str) -> None:
    files.path.write_text(change("notejam-production", "notejam-testing") + f"    context: {context}\n")
    assert len(load_pipeline(files.path, {}).stages) == 2


def test_a_context_that_is_named_again_is_the_same_place(files: Files) -> None:
    content = change("notejam-production", "notejam-testing") + "    context: kind-notejam\n"
    said = "stages.1.namespace: notejam-testing belongs to another stage already"
    assert files.fails(content) == f"FILE:{said}"


@pytest.mark.parametrize(
    ("text", "environment", "context"),
    [
        ("${CONTEXT}", {"CONTEXT": "mine"}, "mine"),
        ("${CONTEXT:-other}", {}, "other"),
        ("${CONTEXT:-other}", {"CONTEXT": ""}, "other"),
        ("${CONTEXT:-}", {}, ""),
        ("a-${CONTEXT:-b}-${C2:-c}", {"C2": "d"}, "a-b-d"),
        ("$CONTEXT", {"CONTEXT": "mine"}, "$CONTEXT"),
        ("${CONTEXT}", {"CONTEXT": "${CONTEXT}"}, "${CONTEXT}"),
    ],
)
def test_variables_are_read_from_the_environment(
    files: Files, text: str, environment: dict[str, str], context: str
) -> None:
    files.path.write_text(change("context: kind-notejam", f'context: "{text}"'))
    assert load_pipeline(files.path, environment).stages[0].context == context


@given(st.integers(1, 99999), st.sampled_from("smh"))
def test_a_duration_is_a_number_and_a_unit(count: int, unit: str) -> None:
    assert DURATION.fullmatch(f"{count}{unit}")


# --- mistakes ---

NAME = "must be 1 to 53 lower-case letters, digits and hyphens"
DURATION_HELP = "must be a duration such as 30s, 5m or 1h"
REGISTRY = "must be a host and a path in lower case, such as registry.example.com/notejam"
URL = "must be a URL such as http://127.0.0.1:30080"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("registry:", "registri:", "registry: this key is required"),
        ("context:", "kontext:", "kontext: unknown key"),
        ("    release: notejam-db", "    relase: x", "charts.0.release: this key is required"),
        ("    url: http", "    address: http", "stages.0.address: unknown key"),
        ("    json:", "    json_:", "verify.1.json_: unknown key"),
        ("  rollout:", "  roll_out:", "timeouts.roll_out: unknown key"),
        ("context: kind-notejam", "1: one", "1: is not text: put it in quotes"),
        ("rollout: 10m", "rollout: 10", f"timeouts.rollout: 10 {DURATION_HELP}"),
        ("rollout: 10m", "rollout: 10 min", f"timeouts.rollout: '10 min' {DURATION_HELP}"),
        ("rollout: 10m", "rollout: 0s", f"timeouts.rollout: '0s' {DURATION_HELP}"),
        ("rollout: 10m", "rollout: 999999999999h", f"timeouts.rollout: '999999999999h' {DURATION_HELP}"),
        ("rollout: 10m", "rollout: 1.5h", f"timeouts.rollout: '1.5h' {DURATION_HELP}"),
        ("rollout: 10m", "rollout: -5m", f"timeouts.rollout: '-5m' {DURATION_HELP}"),
        ("http://testing.test/", "testing.test", f"stages.0.url: 'testing.test' {URL}"),
        ("http://testing.test/", "ftp://testing.test", f"stages.0.url: 'ftp://testing.test' {URL}"),
        ("http://testing.test/", "http://", f"stages.0.url: 'http://' {URL}"),
        ("http://testing.test/", "80", "stages.0.url: must be text: put it in quotes"),
        (
            "registry: registry.test/notejam",
            "registry: https://registry.test",
            f"registry: 'https://registry.test' {REGISTRY}",
        ),
        ("name: testing", "name: Testing", f"stages.0.name: 'Testing' {NAME}"),
        ("notejam-testing", "a" * 54, f"stages.0.namespace: '{'a' * 54}' {NAME}"),
        ("{app: image}", "{App: image}", f"charts.1.images.App: 'App' {NAME}"),
        (
            "{app: image}",
            '{app: "image."}',
            "charts.1.images.app: 'image.' must be a key of the chart's values, such as image or web.image",
        ),
        ("{app: image}", "[app]", "charts.1.images: must be a mapping"),
        ("  - path: /readyz", "  - path: readyz", "verify.0.path: 'readyz' must begin with /"),
        ("  - path: /readyz", "  - /readyz", "verify.0: must be a mapping"),
        ("/readyz", "/readyz\n    status: ok", "verify.0.status: must be a number"),
        (
            "/readyz",
            "/readyz\n    status: 99",
            "verify.0.status: input should be greater than or equal to 100",
        ),
        ('"{app.tag}"', "1", "verify.1.json.version: must be text: put it in quotes"),
        ("verify:\n", "verify: none\nx:\n", "verify: must be a list"),
        ('"{app.tag}"', '"{web.tag}"', "verify.1.json.version: nothing is called {web.tag}"),
        ('"{app.tag}"', '"{Version}"', "verify.1.json.version: nothing is called {Version}"),
        ("release: notejam\n", "release: notejam-db\n", "charts.1.release: notejam-db is there twice"),
        ("name: notejam\n", "name: postgres-ha\n", "charts.1.name: postgres-ha is there twice"),
        ("name: notejam\n", "name: bundle\n", "charts.1.name: bundle.yaml is the releaser's own file"),
        ("{app: image}", "{app: image, web: image}", "charts.1.images.web: image is there twice"),
        ("name: production", "name: testing", "stages.1.name: testing is there twice"),
        (
            "notejam-production",
            "notejam-testing",
            "stages.1.namespace: notejam-testing belongs to another stage already",
        ),
        (
            "    url: http://testing.test/",
            "    verify: [{path: /}]",
            "stages.0.verify: there is no url to ask",
        ),
        ("kind-notejam", "${CONTEXT}", "context: the environment variable CONTEXT is not set"),
        ("testing.test/", "${HOST}:80", "stages.0.url: the environment variable HOST is not set"),
        ("kind-notejam", '"${CONTEXT"', "context: '${CONTEXT' holds a ${ that is no variable"),
        ("kind-notejam", "${A-b}", "context: '${A-b}' holds a ${ that is no variable"),
    ],
)
def test_a_mistake_is_named_by_file_and_key(files: Files, old: str, new: str, said: str) -> None:
    assert files.fails(change(old, new)) == f"FILE:{said}"


@pytest.mark.parametrize("key", ["charts", "stages"])
def test_a_list_must_have_an_item(files: Files, key: str) -> None:
    begin = GOOD.index(f"{key}:")
    end = GOOD.index("verify:\n", begin) if key == "charts" else len(GOOD)
    content = GOOD[:begin] + f"{key}: []\n" + GOOD[end:]
    assert files.fails(content) == f"FILE:{key}: must have at least one item"


def test_a_check_of_a_stage_names_its_stage(files: Files) -> None:
    content = GOOD + '    verify: [{path: /, json: {a: "{x}"}}]\n'
    assert files.fails(content) == "FILE:stages.1.verify.0.json.a: nothing is called {x}"
    assert files.error().hint == (
        "known are {version}, {commit}, {postgres.tag}, {postgres.digest}, {app.tag}, {app.digest}"
    )


def test_an_unset_variable_says_how_to_set_it(files: Files) -> None:
    files.fails(change("kind-notejam", "${CONTEXT}"))
    assert files.error().hint == "export CONTEXT=... or write a default: ${CONTEXT:-value}"


CONTROL = (
    'unacceptable character #x0007: special characters are not allowed in "<unicode string>", position 3'
)
NO_MAPPING = "FILE: the file must hold a mapping with registry, charts and stages"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", NO_MAPPING),
        ("# only a comment\n", NO_MAPPING),
        ("- registry: a\n", NO_MAPPING),
        ("registry\n", NO_MAPPING),
        ("a: 1\nb: [1, 2\nc: 3\n", "FILE:3: not valid YAML: expected ',' or ']', but got ':'"),
        ("a: 1\n\tb: 2\n", "FILE:2: not valid YAML: found character '\\t' that cannot start any token"),
        (
            "a: 1\nb: 2\na: 3\n",
            'FILE:3: not valid YAML: found duplicate key "a" with value "3" (original value: "1")',
        ),
        (
            "a: 1\n---\nb: 2\n",
            "FILE:2: not valid YAML: expected a single document in the stream, but found another document",
        ),
        (b"registry: a\ncontext: \xff\n", "FILE:2: is not UTF-8 text"),
        (
            "a: \x07\n",
            f"FILE: not valid YAML: {CONTROL}",
        ),
    ],
)
def test_what_is_no_pipeline_at_all_is_said(files: Files, content: str | bytes, said: str) -> None:
    assert files.fails(content) == said


def test_a_file_that_is_not_there_is_said(files: Files) -> None:
    error = files.error()
    assert error.message == f"{files.path}: there is no such pipeline file"
    assert error.hint.endswith("name the file: --config PATH")


def test_a_folder_is_no_file(files: Files) -> None:
    files.path.mkdir()
    assert files.error().message == f"{files.path}: cannot be read: is a directory"


def test_a_file_below_a_file_is_said(files: Files) -> None:
    files.path.write_text(GOOD)
    files.path = files.path / "pipeline.yaml"
    assert files.error().message == f"{files.path}: cannot be read: not a directory"
