"""PostgreSQL as it is released: a throw-away container of the database's image, on a port of loopback."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

IMAGE = "NOTEJAM_POSTGRES_IMAGE"
"""Variable that names the image; `make test` sets it where the local registry has it."""

# The container gets the password in a file of variables: arguments are for everybody to read.
SCRIPT = """
set -eu
umask 077
printf '%s' "$PASSWORD" > /tmp/password
initdb --pgdata /tmp/data --username=postgres --encoding=UTF8 --no-sync --auth=scram-sha-256 \
  --pwfile=/tmp/password --locale=C --locale-provider=icu --icu-locale=en-US > /dev/null
echo 'host all all all scram-sha-256' >> /tmp/data/pg_hba.conf
exec postgres -D /tmp/data -c unix_socket_directories=/tmp -c 'listen_addresses=*' "$@"
"""


def choose_engine() -> str:
    """Return the container engine of this machine, the one that the local cluster uses."""
    return os.environ.get("NOTEJAM_ENGINE") or ("podman" if shutil.which("podman") else "docker")


@contextmanager
def run_container(
    image: str, port: int, options: Sequence[str], wait: Callable[[int, Callable[[], str]], None]
) -> Iterator[str]:
    """Start the server and yield the password; `wait` gets the port and a way to read the server's log."""
    engine, password = choose_engine(), secrets.token_hex(16)
    name = f"notejam-test-postgres-{secrets.token_hex(4)}"
    # Whoever was killed before the container could be removed leaves nothing behind: it ends by itself.
    words = ["run", "--detach", "--rm", "--name", name, "--publish", f"127.0.0.1:{port}:5432"]
    words += ["--shm-size", "256m", "--tmpfs", "/tmp:rw,size=2g,mode=1777"]  # noqa: S108 - the container's
    if engine == "podman":
        words += ["--tls-verify=false", "--stop-signal", "SIGINT"]
    arguments = [part for option in options for part in ("-c", option)]
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as variables:
        variables.write(f"PASSWORD={password}\n")
        variables.flush()
        words += ["--env-file", variables.name, "--entrypoint", "sh", image, "-c", SCRIPT, "postgres"]
        _run(engine, *words, *arguments)
    try:
        wait(port, lambda: _run(engine, "logs", name))
        yield password
    finally:
        subprocess.run([engine, "kill", name], check=False, capture_output=True, timeout=60)


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{command[0]} {command[1]}: {done.stderr.strip()}")
    return done.stdout + done.stderr
