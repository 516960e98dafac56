"""Asks a stage whether it really runs the bundle: over HTTP, and by the images of its pods."""

from __future__ import annotations

from releaser.core.model import Bundle, Pipeline, Stage
from releaser.core.verification import check_answer, check_images
from releaser.errors import ReleaserError, UnavailableError
from releaser.observe import Outside

ROUNDS = 3
"""Answers come from several pods: one good round could be luck."""
REQUEST_SECONDS = 5.0


class VerificationError(ReleaserError):
    """The stage rolled out and does not answer as the bundle must."""

    exit_code = 4


def verify_stage(outside: Outside, pipeline: Pipeline, stage: Stage, bundle: Bundle) -> str:
    """Return what was verified; VerificationError with the last wrong answer after the time is up."""
    deadline = outside.clock.now() + stage.verify_timeout
    good, said = 0, ""
    while True:
        wrong = _find_wrong(outside, pipeline, stage, bundle)
        good = 0 if wrong else good + 1
        if good == ROUNDS:
            break
        if wrong and outside.clock.now() > deadline:
            raise VerificationError(wrong)
        if wrong and wrong != said:
            outside.console.progress(wrong)
            said = wrong
        if wrong:
            outside.clock.sleep(1.0)
    paths = ", ".join(check.path for check in stage.checks)
    return (
        f"{stage.url} answers {paths}; every pod runs the bundle's images"
        if paths
        else "every pod runs the bundle's images"
    )


def _find_wrong(outside: Outside, pipeline: Pipeline, stage: Stage, bundle: Bundle) -> str:
    for chart in pipeline.charts:
        workloads = outside.cluster.fetch_workloads(stage, chart.release)
        wrong = check_images(chart, bundle, workloads, pipeline.registry)
        if wrong:
            return wrong
    for check in stage.checks:
        try:
            status, body = outside.web.get(stage.url + check.path, REQUEST_SECONDS)
        except UnavailableError as error:
            return error.message
        wrong = check_answer(check, bundle, status, body)
        if wrong:
            return wrong
    return ""
