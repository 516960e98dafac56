from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from local.errors import LocalError
from local.images import chart_field, pip_configs
from local.packaging import bundle_version, chart_version, stamp_image
from local.settings import Settings

ROOT = Path(__file__).parents[3]
DIGEST = "sha256:" + "1" * 64
VALUES = """\
# About the image.
image:
  repository: old  # replaced when packing
  tag: ""
  digest: ""

replicas: 2 # stays
list:
  - "a"
"""


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    folder = tmp_path / "charts" / "notejam"
    (folder / "image").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("name: notejam\nversion: 0.2.0 # replaced\n")
    (folder / "values.yaml").write_text(VALUES)
    (folder / "image" / "Dockerfile").write_text("FROM scratch\n")
    return tmp_path


def test_stamping_changes_two_values_and_nothing_else() -> None:
    stamped = stamp_image(VALUES, "localhost:5001/notejam/app", DIGEST)
    expected = VALUES.replace('digest: ""', f'digest: "{DIGEST}"').replace(
        "old  #", "localhost:5001/notejam/app #"
    )
    assert stamped.split() == expected.split()


@pytest.mark.parametrize("name", ["notejam", "postgres-ha"])
def test_our_charts_can_be_stamped(name: str) -> None:
    text = (ROOT / "charts" / name / "values.yaml").read_text()
    before, after = yaml.safe_load(text), yaml.safe_load(stamp_image(text, "r.test/x", DIGEST))
    assert after.pop("image") == {**before.pop("image"), "repository": "r.test/x", "digest": DIGEST}
    assert after == before


def test_a_chart_without_an_image_is_refused() -> None:
    with pytest.raises(LocalError, match="image"):
        stamp_image("replicas: 1\n", "r.test/x", DIGEST)


def test_the_version_follows_the_chart_and_its_image(chart: Path) -> None:
    first = chart_version(chart, "notejam", "0.1.0-h1")
    assert first.startswith("0.2.0-h")
    assert chart_version(chart, "notejam", "0.1.0-h1") == first
    assert chart_version(chart, "notejam", "0.1.0-h2") != first
    (chart / "charts" / "notejam" / "values.yaml").write_text(VALUES + "more: 1\n")
    assert chart_version(chart, "notejam", "0.1.0-h1") != first


def test_files_of_the_image_count_through_its_version_only(chart: Path) -> None:
    first = chart_version(chart, "notejam", "0.1.0-h1")
    (chart / "charts" / "notejam" / "image" / "Dockerfile").write_text("FROM other\n")
    assert chart_version(chart, "notejam", "0.1.0-h1") == first


def test_the_bundle_follows_both_charts(chart: Path) -> None:
    first = bundle_version(chart, {"notejam": "1", "postgres-ha": "1"})
    assert bundle_version(chart, {"notejam": "1", "postgres-ha": "2"}) != first
    assert bundle_version(chart, {"notejam": "2", "postgres-ha": "1"}) != first


def test_fields_of_a_chart_are_read() -> None:
    text = 'apiVersion: v2\nversion: 0.1.0 # a comment\nappVersion: "17"\n'
    assert chart_field(text, "version") == "0.1.0"
    assert chart_field(text, "appVersion") == "17"
    with pytest.raises(LocalError, match="kubeVersion"):
        chart_field(text, "kubeVersion")


def test_the_named_pip_configuration_comes_first(tmp_path: Path) -> None:
    named = tmp_path / "my.conf"
    named.write_text("[global]\n")
    environment = {"PIP_CONFIG_FILE": str(named), "HOME": str(tmp_path)}
    settings = Settings(root=tmp_path, cache=tmp_path, environment=environment)
    assert pip_configs(settings)[0] == named
