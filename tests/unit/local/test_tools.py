from __future__ import annotations

import pytest

from local.tools import is_right


@pytest.mark.parametrize(
    ("program", "output", "pinned", "right"),
    [
        ("helm", "v4.3.1+g1234567", "v4.3.1", True),
        ("helm", "v4.3.0", "v4.3.1", False),
        ("helm", "v3.22.0", "v4.3.1", False),
        ("kind", "kind v0.33.0 go1.26 linux/amd64", "v0.33.0", True),
        ("kubectl", "Client Version: v1.35.1\nKustomize Version: v5.7.1", "v1.34.4", True),
        ("kubectl", "Client Version: v1.33.0", "v1.34.4", True),
        ("kubectl", "Client Version: v1.32.4-dispatcher", "v1.34.4", False),
        ("kubeconform", "development", "v0.7.0", False),
        ("helm", "", "v4.3.1", False),
    ],
)
def test_which_programs_of_the_machine_will_do(program: str, output: str, pinned: str, right: bool) -> None:
    assert is_right(program, output, pinned) == right
