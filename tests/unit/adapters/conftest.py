"""A real registry for the tests of the registry adapter, and how hypothesis tries examples."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# How fast an example is depends on what else the machine does, which is no property of ours.
settings.register_profile("adapters", deadline=None)
settings.load_profile("adapters")

CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
{more}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str) -> None:
    end = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 # the registry just started
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


@pytest.fixture(scope="session")
def start_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Start a registry on a free port and return its host; all end with the session."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.fail("docker-registry is not installed: apt-get install docker-registry")
    running = []

    def start(more: str = "") -> str:
        folder = tmp_path_factory.mktemp("registry")
        port = free_port()
        config = folder / "config.yml"
        config.write_text(CONFIG.format(folder=folder, port=port, more=more))
        with (folder / "log").open("w") as log:
            running.append(subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log))
        wait_for(f"http://127.0.0.1:{port}/v2/")
        return f"127.0.0.1:{port}"

    yield start
    for process in running:
        process.terminate()
        process.wait(10)
