"""The documentation says what the code does: generated pages, links, and the pipeline's keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from releaser.config import load_pipeline
from tests.pages import load_maker

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("charts/*/README.md")])


def test_the_command_reference_is_what_the_commands_say() -> None:
    module = load_maker(ROOT / "docs" / "make_commands.py")
    page = (ROOT / "docs" / "commands.md").read_text()
    assert page == module.make_page(), "python docs/make_commands.py > docs/commands.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    # What stands in code is no link: a regular expression may look like one.
    text = re.sub(r"`[^`\n]*`", "", page.read_text())
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in link:
            assert (page.parent / link).exists(), link


def test_the_pipeline_page_names_every_key() -> None:
    page = (ROOT / "docs" / "pipeline.md").read_text()
    for key in re.findall(r"(?m)^ *(?:- )?(\w+):", (ROOT / "values" / "pipeline.yaml").read_text()):
        if key not in {"postgres", "app", "version"}:
            assert f"{key}" in page, key


def test_the_project_s_own_pipeline_is_valid() -> None:
    pipeline = load_pipeline(ROOT / "values" / "pipeline.yaml", {})
    assert [stage.name for stage in pipeline.stages] == ["development", "testing", "production"]
    assert pipeline.registry == "localhost:5001/notejam"
