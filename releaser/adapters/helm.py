"""Helm, through pyhelm3.

pyhelm3 speaks asyncio; the releaser polls. So its tasks run on a loop in a thread of their own.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import semver
from pyhelm3 import errors as helm_errors

from releaser.adapters import helm_command
from releaser.adapters.helm_command import Command
from releaser.core.model import Release, Stage, Values
from releaser.errors import HelmError, ReleaserError

GRACE = 20.0  # seconds that helm has to write down that it was ended
# Helm calls a failed revision superseded when the rollback from it fails too; this tells them apart.
FAILED = re.compile(r'(Upgrade|Rollback|Release) ".*" failed: ', re.DOTALL)
RACES = 3  # times that a release is read again when it changed in between
# `postgres-ha-0.1.0-h0123`: the version begins at the first hyphen before three numbers.
CHART = re.compile(r"(?P<name>.+?)-(?P<version>v?\d+\.\d+\.\d+.*)")

T = TypeVar("T")


class _Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="helm", daemon=True).start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end and return the result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start and return at once."""

        async def create() -> asyncio.Task[None]:
            return asyncio.create_task(work)

        return self.run(create())

    def cancel(self, task: asyncio.Task[None]) -> None:
        """Ask a task to end."""
        self._loop.call_soon_threadsafe(task.cancel)


class _Run:
    """A helm at work."""

    def __init__(self, loop: _Loop, work: Coroutine[Any, Any, object], secrets: Sequence[str]) -> None:
        self._loop = loop
        self._secrets = secrets
        self._is_ended = threading.Event()
        self._error: ReleaserError | None = None
        self._task = loop.start(self._follow(work))

    async def _follow(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            self._error = HelmError("helm was ended before it was done")
        except helm_errors.Error as error:
            self._error = helm_command.to_run_error(error, self._secrets)
        except ReleaserError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001 # check() raises it where somebody listens
            self._error = HelmError(f"helm's answer cannot be read: {error!r}")
        finally:
            self._is_ended.set()

    def is_done(self) -> bool:
        """Whether it has ended."""
        return self._is_ended.is_set()

    def check(self) -> None:
        """Wait for its end; HelmError when it failed."""
        self._is_ended.wait()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End it: TERM, a grace period, KILL. Returns when it is gone."""
        if not self._is_ended.is_set():
            self._loop.cancel(self._task)
            self._is_ended.wait()


class HelmAdapter:
    """Runs helm: two processes to read a release, one to change it, none waits for a rollout."""

    def __init__(self, executable: str | None = None, *, grace: float = GRACE) -> None:
        self._executable = executable or helm_command.default_helm(os.environ)
        self._grace = grace
        self._loop = _Loop()
        self._commands: dict[str, Command] = {}

    @cached_property
    def _version(self) -> semver.Version:
        # On first use: commands that only read the registry need no helm.
        return helm_command.find_helm(self._executable)

    def _command(self, stage: Stage) -> Command:
        if stage.context not in self._commands:
            # pyhelm3.Client would parse whole manifests, and merge values in another way than Helm.
            self._commands[stage.context] = Command(
                self._executable, self._version, stage.context, self._grace
            )
        return self._commands[stage.context]

    def fetch_release(self, stage: Stage, release: str) -> Release | None:
        """Return the release at its newest revision, or None when there is none."""
        command = self._command(stage)

        async def fetch() -> Release:
            for _ in range(RACES):
                results: Sequence[Any] = await asyncio.gather(
                    command.status(release, namespace=stage.namespace),
                    command.history(release, namespace=stage.namespace),
                    return_exceptions=True,
                )
                for result in results:
                    if isinstance(result, BaseException):
                        raise result
                status, history = results
                # Helm may write a new revision between the two answers.
                if any(item["revision"] == status["version"] for item in history):
                    return make_release(release, status, history)
            raise HelmError(f"{release} changes all the time: somebody else is at work on it")

        return self._fetch(stage, fetch())

    def fetch_revisions(self, stage: Stage, release: str) -> Mapping[int, str]:
        """Return the chart version of every kept revision that was deployed or superseded."""
        history = self._fetch(stage, self._command(stage).history(release, namespace=stage.namespace))
        return {int(item["revision"]): _split_chart(item)[1] for item in history or [] if _is_good(item)}

    def _fetch(self, stage: Stage, work: Coroutine[Any, Any, T]) -> T | None:
        try:
            return self._loop.run(work)
        except helm_errors.ReleaseNotFoundError:
            return None
        except helm_errors.Error as error:
            raise helm_command.to_fetch_error(error, stage.context, stage.namespace) from error
        except (ValueError, KeyError) as error:
            raise HelmError(f"helm's answer cannot be read: {error!r}") from error

    def start_apply(self, stage: Stage, release: str, chart: Path, values: Values, description: str) -> _Run:
        """Start install or upgrade of a packed chart, without waiting for the rollout."""
        command = self._command(stage)
        work = command.install_or_upgrade(
            release,
            chart.absolute(),
            dict(values),
            namespace=stage.namespace,
            create_namespace=False,
            description=description,
            # Without it helm keeps the values of the revision before when there are none now.
            reset_values=True,
            server_side="false" if command.apply_flags() else None,
            timeout=_seconds(stage),
        )
        return _Run(self._loop, work, tuple(helm_command.find_secrets(values)))

    def start_rollback(self, stage: Stage, release: str, revision: int) -> _Run:
        """Start the rollback to a named revision, without waiting for the rollout."""
        command = self._command(stage)
        work = command.rollback(release, revision, namespace=stage.namespace, timeout=_seconds(stage))
        return _Run(self._loop, work, ())


def _seconds(stage: Stage) -> str:
    """Return the time that helm may wait for a hook."""
    return f"{max(int(stage.rollout_timeout.total_seconds()), 1)}s"


def _is_good(item: Mapping[str, Any]) -> bool:
    """Whether a revision is deployed or was."""
    state, description = item["status"], str(item.get("description") or "")
    return state == "deployed" or (state == "superseded" and not FAILED.match(description))


def _split_chart(item: Mapping[str, Any]) -> tuple[str, str]:
    found = CHART.fullmatch(str(item["chart"]))
    return (found["name"], found["version"]) if found else (str(item["chart"]), "")


def make_release(name: str, status: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> Release:
    """Put status and history together; pure."""
    revision, state = int(status["version"]), str(status["info"]["status"])
    current = next(item for item in history if item["revision"] == revision)
    chart_name, chart_version = _split_chart(current)
    others = [item for item in history if _is_good(item) and int(item["revision"]) != revision]
    good = [item for item in others if item["status"] == "deployed"] or others
    is_bad = state == "failed" or state.startswith("pending-")
    return Release(
        name=name,
        revision=revision,
        status=state,
        chart_name=chart_name,
        chart_version=chart_version,
        values=status.get("config") or {},
        description=str(status["info"].get("description") or ""),
        updated=_time(status["info"].get("last_deployed")),
        good_revision=max((int(item["revision"]) for item in good), default=None) if is_bad else None,
    )


def _time(text: object) -> datetime | None:
    """Return a time of Helm's; nanoseconds are cut, and a time that was never set is empty."""
    time = datetime.fromisoformat(text) if isinstance(text, str) and text else None
    return time.astimezone(UTC) if time and time.tzinfo else None
