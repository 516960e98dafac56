"""The pages about postgres-ha say what the chart says."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.pages import load_maker

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def maker() -> ModuleType:
    return load_maker(ROOT / "docs" / "make_values.py")


def test_the_reference_is_what_values_and_schema_say(maker: ModuleType) -> None:
    page = (ROOT / "docs" / "postgres-ha-values.md").read_text(encoding="utf-8")
    assert page == maker.make_page(), "python docs/make_values.py > docs/postgres-ha-values.md"


def test_comments_are_found_by_path(maker: ModuleType) -> None:
    text = "# About a.\na:\n  # About b.\n  # More.\n  b: 1\n  c: 2\nd: 3\n"
    assert maker.read_comments(text) == {"a": "About a.", "a.b": "About b. More.", "a.c": "", "d": ""}


def test_choices_stay_lines_of_their_own(maker: ModuleType) -> None:
    text = "# What.\n#   one    the first\n#   other  the second\n# And more,\n# at last.\na: one\n"
    assert maker.read_comments(text) == {
        "a": "What.\n`one`: the first\n`other`: the second\nAnd more, at last."
    }
    assert "<br>`required`: a replica has it, always" in maker.make_page()


def test_every_runbook_belongs_to_an_alert() -> None:
    files = (ROOT / "charts" / "postgres-ha" / "files").glob("alerts*.yaml")
    alerts = "".join(path.read_text(encoding="utf-8") for path in files)
    for page in (ROOT / "docs" / "runbooks").glob("*.md"):
        assert page.name in alerts


@pytest.fixture
def notes(helm4: str) -> Callable[..., str]:
    def run(*sets: str) -> str:
        words = [word for value in sets for word in ("--set", value)]
        command = [helm4, "install", "demo", str(ROOT / "charts" / "postgres-ha"), "--dry-run=client"]
        done = subprocess.run([*command, *words], capture_output=True, text=True, check=True, timeout=60)
        return done.stdout.partition("NOTES:\n")[2]

    return run


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ((), "An uninstall keeps the volumes"),
        (("uninstall.removeData=true",), "An uninstall removes the volumes with all data"),
        (("durability=none",), "A failover may lose the last commits"),
        (("members=1",), "with one member there is no replica"),
        (("fullnameOverride=accounts",), "exec accounts-0 -- pgha list"),
    ],
)
def test_notes_are_filled_in(notes: Callable[..., str], sets: tuple[str, ...], said: str) -> None:
    text = notes(*sets)
    assert said in text
    assert "{{" not in text
    assert "<no value>" not in text


def test_notes_promise_what_is_there(notes: Callable[..., str]) -> None:
    assert "pgha reinit demo-1" in notes()
    alone = notes("members=1")
    assert "reinit" not in alone
    assert "switchover" not in alone
    assert "a ready URI" in notes()
    given = notes("credentials.app.existingSecret=mine")
    assert "URI" not in given
    assert "The application's user is notejam, with the password in your Secret mine" in given


def test_with_one_member_there_is_nowhere_else_to_read(notes: Callable[..., str]) -> None:
    assert "demo-replicas" in notes()
    assert "demo-replicas" not in notes("members=1")


SOME = "networkPolicy.clients[0].podSelector.matchLabels.a=b"
COLLECTOR = "networkPolicy.monitoring[0].podSelector.matchLabels.a=b"
RULES = ("metrics.rules.enabled=true", "metrics.rules.runbooks=https://example.com")


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ((), True),
        ((SOME,), False),
        (("networkPolicy.clients[0].namespaceSelector.matchLabels.a=b",), False),
        (("networkPolicy.enabled=false",), False),
    ],
)
def test_notes_tell_when_the_whole_namespace_may_connect(
    notes: Callable[..., str], sets: tuple[str, ...], *, expected: bool
) -> None:
    said = "every pod of the namespace default may connect. networkPolicy.clients narrows it"
    assert (said in notes(*sets)) is expected


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ((), False),
        (("metrics.podMonitor.enabled=true",), True),
        (("metrics.podMonitoring.enabled=true",), True),
        (RULES, True),
        ((*RULES, COLLECTOR), False),
        ((*RULES, "networkPolicy.enabled=false"), False),
    ],
)
def test_notes_tell_when_no_collector_is_let_in(
    notes: Callable[..., str], sets: tuple[str, ...], *, expected: bool
) -> None:
    text = notes("metrics.enabled=true", *sets)
    assert ("networkPolicy.monitoring is empty, so no pod may read the metrics" in text) is expected


def test_every_key_says_what_it_does(maker: ModuleType) -> None:
    """A cell that is empty, or that a key next to it has as well, tells nothing."""
    cells = [
        line.split(" | ")[-1].strip(" |") for line in maker.make_page().splitlines() if line.startswith("| `")
    ]
    assert "" not in cells
    assert sorted({cell for cell in cells if cells.count(cell) > 1}) == []
