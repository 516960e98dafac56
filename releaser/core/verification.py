"""What a stage must answer after a rollout, and what its pods must run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from releaser.core.model import Bundle, Chart, Check, Workload

PLACEHOLDER = re.compile(r"\{([A-Za-z0-9._-]+)\}")
BODY = 160


def fill(text: str, bundle: Bundle) -> str:
    """Replace {version}, {commit} and {NAME.tag}, {NAME.digest} of an image; KeyError on any other."""
    known = {"version": bundle.version, "commit": bundle.commit}
    for name, image in bundle.images.items():
        known[f"{name}.tag"], known[f"{name}.digest"] = image.tag, image.digest
    return PLACEHOLDER.sub(lambda match: known[match[1]], text)


def check_answer(check: Check, bundle: Bundle, status: int, body: str) -> str:
    """Return what is wrong with an answer, empty when nothing is."""
    if status != check.status:
        return f"{check.path} answered {status}, not {check.status}: {_excerpt(body)}"
    if check.contains and check.contains not in body:
        return f"{check.path} does not contain {check.contains!r}"
    return _check_json(check, bundle, body) if check.json else ""


def _check_json(check: Check, bundle: Bundle, body: str) -> str:
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        return f"{check.path} is not a JSON object: {_excerpt(body)}"
    for key, template in check.json.items():
        wanted = fill(template, bundle)
        if key not in document:
            return f"{check.path} has no key {key}, which must be {wanted!r}"
        # the pipeline file knows only text: "3" and "true" stand for the number and the boolean too
        found = document[key] if isinstance(document[key], str) else json.dumps(document[key])
        if found != wanted:
            return f"{check.path} says {key} {found!r}, not {wanted!r}"
    return ""


def _excerpt(body: str) -> str:
    return " ".join(body.split())[:BODY] or "(empty)"


def check_images(chart: Chart, bundle: Bundle, workloads: Iterable[Workload], registry: str) -> str:
    """Return which pod runs another image than the bundle's, empty when none does.

    A container counts when its image comes from the repository of one of the chart's images;
    the empty shell of an evicted pod does not.
    """
    wanted = {
        f"{registry}/{bundle.images[name].repository}": bundle.images[name].digest for name in chart.images
    }
    for workload in workloads:
        if workload.kind == "Job":
            continue
        for pod in workload.pods:
            for container in () if pod.is_ended else pod.containers:
                repository = re.split(r"@|:[^/]*$", container.image)[0]
                digest = wanted.get(repository)
                if digest and digest not in container.image_id:
                    return f"{pod.name}/{container.name} runs {container.image_id or 'nothing'}, not {digest}"
    return ""
