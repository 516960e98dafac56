"""pyhelm3's commands, run so that they can be ended, and their failures as errors of ours."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyhelm3
import semver
from pyhelm3 import errors as helm_errors

from releaser.adapters import process
from releaser.errors import ForbiddenError, HelmError, InputError, ReleaserError, UnavailableError

OLDEST = semver.Version(3, 20, 0)
SERVER_SIDE = semver.Version(4, 0, 0)
INSTALL = "install it from https://helm.sh/docs/intro/install, or name it in RELEASER_HELM"
SHOWN_LINES = 12  # last lines of stderr that a message keeps
HIDDEN = "***"
SECRET_KEY = re.compile(
    r"pass(word|wd|phrase)?|secret|token|credential|private_?key|api_?key|access_?key", re.IGNORECASE
)
# A key that only names a secret: `secretName: notejam-db-app`, `existingSecret: …`.
NAME_OF_SECRET = re.compile(r"^existing|(name|ref)s?$", re.IGNORECASE)
SHORTEST_SECRET = 6  # a shorter text is in too many words to be hidden
USER_INFO = re.compile(r"(?<=://)[^/\s:@\"']+:[^/\s@\"']+(?=@)")
UNREACHABLE = re.compile(
    r"cluster unreachable|connection refused|connection reset|no such host|no route to host|i/o timeout|"
    r"TLS handshake|network is unreachable|was refused|x509:|unexpected EOF|etcdserver|"
    r"the server is currently unable|too many requests",
    re.IGNORECASE,
)
FORBIDDEN = re.compile(r"is forbidden|unauthorized|must be logged in|provide credentials", re.IGNORECASE)
NO_CONTEXT = re.compile(r'context "?([^"]+?)"? does not exist', re.IGNORECASE)


class Command(pyhelm3.Command):  # type: ignore[misc]  # pyhelm3 has no types
    """Runs helm without a shell, in a group of its own, with values over stdin only.

    A cancelled task ends helm: TERM, a grace period, KILL. pyhelm3 would end its shell alone.
    """

    def __init__(self, executable: str, version: semver.Version, context: str, grace: float) -> None:
        super().__init__(executable=executable, kubecontext=context)
        self._version = version
        self._grace = grace

    def client_version(self) -> semver.Version:
        """Return the version that was read once; pyhelm3 asks for it with a shell."""
        return self._version

    async def run(self, command: Iterable[object], input: bytes | None = None) -> bytes:  # noqa: A002 # pyhelm3's name
        """Run helm to its end and return what it wrote; an error of pyhelm3 when it failed."""
        args = [self._executable, *map(str, command), "--kube-context", self._kubecontext]
        started = process.Started(args, input, clean_environment(os.environ))
        try:
            finished = await asyncio.to_thread(started.wait)
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.to_thread(started.stop, self._grace))
            raise
        if finished is None or finished.returncode:
            code, out, err = (
                (finished.returncode, finished.stdout, finished.stderr) if finished else (-1, b"", b"")
            )
            kind = helm_errors.ReleaseNotFoundError if b"release: not found" in err else helm_errors.Error
            # Kept as bytes: pyhelm3 decodes strictly, and helm may cut a character in two.
            raise kind(code, out, err.decode(errors="replace").encode())
        return finished.stdout

    async def rollback(self, release_name: str, revision: int | None, **options: Any) -> None:
        """Roll back to a named revision, with the flags that pyhelm3 lacks."""
        if revision is None:
            raise ValueError("without a revision helm takes the one before, whatever its status")
        command = [
            *("rollback", release_name, revision, "--namespace", options["namespace"]),
            *("--history-max", self._history_max_revisions, "--timeout", options["timeout"]),
            *self.apply_flags(),
        ]
        await self.run(command)

    def apply_flags(self) -> list[str]:
        """Let Helm 4 change objects like Helm 3 does.

        Server-side apply stops at every field that somebody else has set by hand, also in the
        middle of a rollback. The merge of old, new and live that both know puts such a field right.
        """
        return ["--server-side=false"] if self._version >= SERVER_SIDE else []


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out what would lead helm to another cluster or namespace than the stage's."""
    left_out = ("HELM_KUBE", "HELM_NAMESPACE", "HELM_DRIVER", "HELM_DEBUG")
    return {key: value for key, value in environment.items() if not key.startswith(left_out)}


def find_helm(executable: str) -> semver.Version:
    """Return the version of a helm that can be used."""
    try:
        finished = process.run([executable, "version", "--template", "{{ .Version }}"])
    except InputError as error:
        raise InputError(error.message, INSTALL) from error
    text = finished.stdout.decode(errors="replace").strip()
    try:
        # A build from source may say v4.3 and no more, which pyhelm3 stumbles over.
        version = semver.Version.parse(text.removeprefix("v"), optional_minor_and_patch=True)
    except (ValueError, TypeError) as error:
        raise InputError(f"{executable} does not say its version but {text!r}", INSTALL) from error
    if version.finalize_version() < OLDEST:
        raise InputError(f"{executable} is version {text}; 3.20 or newer is needed", INSTALL)
    return version


# --- what helm says when it fails -----------------------------------------------------------------


def to_fetch_error(error: helm_errors.Error, context: str, namespace: str) -> ReleaserError:
    """Return why something could not be read."""
    said = describe(error)
    missing = NO_CONTEXT.search(said)
    if missing:
        return InputError(
            f"the kubeconfig has no context {missing[1]}", "see what there is: kubectl config get-contexts"
        )
    if FORBIDDEN.search(said):
        return ForbiddenError(
            f"context {context}: {said}",
            f"helm keeps releases in Secrets; see your rights: "
            f"kubectl auth can-i list secrets -n {namespace} --context {context}",
        )
    if UNREACHABLE.search(said):
        return UnavailableError(
            f"the cluster of context {context} does not answer: {said}",
            f"look whether it runs: kubectl --context {context} version",
        )
    return HelmError(said)


def to_run_error(error: helm_errors.Error, secrets: Iterable[str]) -> HelmError:
    """Return why an install, upgrade or rollback failed."""
    return HelmError(redact(describe(error), secrets))


def describe(error: helm_errors.Error) -> str:
    """Return the last lines that helm wrote, without what it warned of before."""
    lines = [line.rstrip() for line in error.stderr.decode(errors="replace").splitlines() if line.strip()]
    begins = [index for index, line in enumerate(lines) if line.startswith("Error: ")]
    if begins:
        lines = lines[begins[-1] :]
    text = "\n".join(lines[-SHOWN_LINES:]).removeprefix("Error: ")
    if not text:
        code = error.returncode
        return f"helm was ended by signal {-code}" if code < 0 else f"helm failed with exit code {code}"
    return redact(text, ())


def redact(text: str, secrets: Iterable[str]) -> str:
    """Hide secrets in a text, the longest first, and passwords in addresses."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return USER_INFO.sub(HIDDEN, text)


def find_secrets(values: object, *, is_secret: bool = False) -> Iterator[str]:
    """Yield the values whose keys say that they are secret."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            found = bool(SECRET_KEY.search(str(key)))
            is_only_name = isinstance(value, str) and NAME_OF_SECRET.search(str(key)) and found
            yield from find_secrets(value, is_secret=is_secret or (found and not is_only_name))
    elif isinstance(values, list | tuple):
        for value in values:
            yield from find_secrets(value, is_secret=is_secret)
    elif is_secret and len(str(values)) >= SHORTEST_SECRET and not isinstance(values, bool):
        yield str(values)


def default_helm(environment: Mapping[str, str]) -> str:
    """Return the helm to use: RELEASER_HELM, or the one on PATH."""
    named = environment.get("RELEASER_HELM", "")
    return str(Path(named).expanduser()) if named else "helm"
