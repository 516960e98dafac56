"""What the benchmarks share: their options, the cluster they need, and a namespace that nobody else uses."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from local.errors import LocalError
from local.images import POSTGRES
from releaser.errors import ReleaserError
from tests.faults.database import Database, FaultError, run
from tests.faults.images import find_image
from tests.namespaces import have_namespace

LOOK_SECONDS = 30
INTERRUPTED = 130
PREFIX = "faults-"


def count(text: str) -> int:
    """Read a number of 1 and more, for argparse."""
    number = int(text) if text.isascii() and text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return number


def own(text: str) -> str:
    """Read the name of a namespace, for argparse: it is removed at the end, so it is none of anybody else."""
    if not text.startswith(PREFIX):
        raise argparse.ArgumentTypeError(f"{text!r} does not begin with {PREFIX}")
    return text


@contextmanager
def have_database(namespace: str) -> Iterator[Database]:
    """Have a namespace for a database that is not installed yet; end with what is wrong, and what to type."""
    context = os.environ.get("NOTEJAM_CONTEXT", "kind-notejam")
    kubectl = ("kubectl", "--context", context, "--request-timeout", f"{LOOK_SECONDS}s")
    try:
        image = find_image(POSTGRES)
        words = ("--ignore-not-found", "--output", "jsonpath={.status.phase}")
        phase = run(*kubectl, "get", "namespace", namespace, *words)
    except LocalError as error:
        sys.exit(f"error: {error}\nhelp:  {error.hint or 'make up'}")
    except (FaultError, ReleaserError) as error:
        sys.exit(f"error: {error}\nhelp:  make up")
    if phase == "Active":
        sys.exit(
            f"error: there is a namespace {namespace}: another run is at work in it, or one was broken off\n"
            f"help:  kubectl --context {context} delete namespace {namespace}   # if it was broken off"
        )
    try:
        with have_namespace(context, namespace):
            yield Database(context, namespace, image)
    except FaultError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.stderr.write(f"broken off; the namespace {namespace} is on its way out\n")
        sys.exit(INTERRUPTED)
