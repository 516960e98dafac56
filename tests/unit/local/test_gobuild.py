from __future__ import annotations

import re
from pathlib import Path

import pytest

from local.errors import LocalError
from local.gobuild import TOOLS, commands, link_flags, module_version, parse_go_version

MODULES = Path(__file__).parents[3] / "local" / "go"
COMPILED_ONCE = (
    "helm4",
    "helm3",
    "coredns",
    "kube-network-policies",
    "local-path-provisioner",
    "metrics-server",
)


@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_is_pinned_with_sums(name: str) -> None:
    tool = TOOLS[name]
    folder = MODULES / tool.folder
    assert module_version((folder / "go.mod").read_text(), tool.main).startswith("v")
    # A module may be fetched by another address than its own.
    moved = re.search(
        rf"^replace {re.escape(tool.main)} => (\S+) v", (folder / "go.mod").read_text(), re.MULTILINE
    )
    assert f"{moved[1] if moved else tool.main} v" in (folder / "go.sum").read_text()
    listed = commands(folder)
    assert listed == ["."] or all(path.startswith(tool.main) for path in listed)
    if len(listed) > 1:
        assert set(tool.programs) <= {path.rsplit("/", 1)[-1] for path in listed}


def required(module: str) -> dict[str, str]:
    """Return the version of every module that a go.mod requires."""
    text = (MODULES / module / "go.mod").read_text().split("\nreplace")[0]
    return dict(re.findall(r"^(?:require)?\s+(\S+\.\S+) (v\S+)", text, re.MULTILINE))


def test_what_several_programs_use_is_compiled_once() -> None:
    """Another version of a package, or of anything below it, is compiled anew: minutes for client-go."""
    wanted: dict[str, dict[str, list[str]]] = {}
    for name in COMPILED_ONCE:
        for module, version in required(name).items():
            wanted.setdefault(module, {}).setdefault(version, []).append(name)
    assert len(wanted) > 100
    assert {module: by for module, by in wanted.items() if len(by) > 1} == {}


def test_the_version_stands_alone_or_in_a_block() -> None:
    assert module_version("module x\n\nrequire a.test/b v1.2.3\n", "a.test/b") == "v1.2.3"
    assert module_version("require (\n\ta.test/b/v2 v2.0.0\n\ta.test/b v1.2.4\n)\n", "a.test/b") == "v1.2.4"
    with pytest.raises(LocalError, match="does not require"):
        module_version("module x\n", "a.test/b")


def test_kubernetes_learns_its_version() -> None:
    flags = link_flags("kubernetes", "v1.34.4")
    assert "-X k8s.io/component-base/version.gitVersion=v1.34.4" in flags
    assert "-X k8s.io/client-go/pkg/version.gitMinor=34" in flags
    assert link_flags("kubectl", "v1.34.4") == flags
    assert link_flags("coredns", "v1.12.4") == "-s -w"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26)),
        ("go version go1.19 linux/amd64", (1, 19)),
        ("go version devel go1.27-abc", (1, 27)),
        ("", (0, 0)),
    ],
)
def test_go_tells_its_version(text: str, version: tuple[int, int]) -> None:
    assert parse_go_version(text) == version
