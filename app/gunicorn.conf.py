# ruff: noqa: INP001 - gunicorn gives its configuration this name, beside the package
"""How gunicorn serves the app, as PID 1 of the container."""

import logging
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from notejam import exporter, logs
from notejam.config import load_for_serving, stop
from notejam.environment import ConfigError, read_number

# A wrong setting ends the process here with one message, before gunicorn starts and restarts workers.
settings = load_for_serving(os.environ)
try:
    workers = read_number(os.environ, "WEB_CONCURRENCY", default=2, highest=64)
    # A proxy keeps idle connections open; closing ours first would race with its next request. So this
    # must be longer than the proxy's own limit: about 620 behind Google's load balancers.
    keepalive = read_number(os.environ, "NOTEJAM_KEEPALIVE", default=75, highest=3600)
    metrics = exporter.prepare(settings.metrics_port)
except ConfigError as error:
    stop(error)

bind = "0.0.0.0:8000"
worker_class = "gthread"
threads = settings.threads
timeout = 30
# On SIGTERM requests in flight may take this long; the pod's grace period must be longer.
graceful_timeout = 25
# The app is imported before the fork: less memory, and a fault of its own ends the process at once. The
# database engine has no connection yet at that time, so the workers share none.
preload_app = True
# Workers show that they are alive by touching a file: in memory, as the root is read-only.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - memory, not a shared file
control_socket_disable = True
accesslog = None  # the app logs its requests itself, as JSON
logconfig_dict = logs.logging_config()
logging.captureWarnings(capture=True)


def pre_fork(server: Any, worker: exporter.Worker) -> None:
    """Give a worker its place among the metrics."""
    if metrics:
        metrics.assign(worker, list(server.WORKERS.values()))


def post_fork(_: Any, worker: exporter.Worker) -> None:
    """Count in that place, and answer on the port of the metrics."""
    if metrics:
        metrics.begin(worker)


def child_exit(_: Any, worker: exporter.Worker) -> None:
    """Forget what a worker that has gone was busy with."""
    if metrics:
        metrics.end(worker)
