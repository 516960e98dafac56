from __future__ import annotations

from pathlib import Path

import semver
from hypothesis import given
from hypothesis import strategies as st

from local.keys import content_version, file_inputs, make_key

INPUTS = st.dictionaries(st.text(min_size=1), st.text(), min_size=1)


@given(INPUTS)
def test_the_order_of_inputs_does_not_matter(inputs: dict[str, str]) -> None:
    assert make_key(dict(reversed(inputs.items()))) == make_key(inputs)


@given(INPUTS, st.text(min_size=1))
def test_every_input_changes_the_key(inputs: dict[str, str], more: str) -> None:
    for name, value in inputs.items():
        assert make_key({**inputs, name: value + more}) != make_key(inputs)


def test_a_name_and_its_value_do_not_run_into_each_other() -> None:
    assert make_key({"a": "bc"}) != make_key({"ab": "c"})


@given(INPUTS)
def test_versions_are_semantic_and_sort_before_the_release(inputs: dict[str, str]) -> None:
    version = semver.Version.parse(content_version("0.1.0", inputs))
    assert version < semver.Version.parse("0.1.0")
    assert content_version("0.1.0-rc.1+7", inputs) == str(version)


def test_content_path_and_executability_of_files_count(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "run"
    file.parent.mkdir()
    file.write_text("1")
    first = file_inputs(tmp_path)
    assert list(first) == ["folder/run"]
    file.chmod(0o755)
    second = file_inputs(tmp_path)
    file.write_text("2")
    third = file_inputs(tmp_path)
    file.rename(tmp_path / "run")
    fourth = file_inputs(tmp_path)
    assert len({make_key(inputs) for inputs in (first, second, third, fourth)}) == 4


def test_what_tools_leave_behind_does_not_count(tmp_path: Path) -> None:
    for name in ("__pycache__/a.pyc", "b.pyc", ".mypy_cache/c", "image/Dockerfile"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    assert file_inputs(tmp_path, ignore=("image",)) == {}
