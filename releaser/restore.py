"""Brings the releases that a failed promotion changed back to the revisions they had before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from releaser.core.model import Move, Stage
from releaser.core.rollout import Baseline
from releaser.errors import NeedsAPersonError
from releaser.observe import Outside
from releaser.watch import wait_rollout


def restore(outside: Outside, stage: Stage, moves: Mapping[str, Move], changed: Sequence[str]) -> str:
    """Roll back the changed releases, the last one first, and return what was done.

    A release that had no revision before stays as it is: removing it could remove data.
    Raises NeedsAPersonError for it, and whatever stops a rollback.
    """
    done, first_installs = [], []
    for name in reversed(changed):
        before = moves[name].before
        release = outside.helm.fetch_release(stage, name)
        if release is None or (release.revision == before and release.status == "deployed"):
            done.append(f"{name} was not changed")
            continue
        if before is None:
            first_installs.append(name)
            continue
        outside.console.step(f"roll back {name} to revision {before}")
        baseline = Baseline.of(outside.cluster.fetch_workloads(stage, name))
        run = outside.helm.start_rollback(stage, name, before)
        text = wait_rollout(outside, stage, name, baseline, run)
        outside.console.done(text)
        done.append(f"{name} is back at revision {before}")
    if first_installs:
        raise NeedsAPersonError(
            f"{', '.join(first_installs)}: no revision before, left as installed to be looked at"
        )
    return f"{stage.name}: {'; '.join(done) or 'nothing had been changed'}"
