"""The kubeconfig, read by kubectl's rules.

lightkube reads one file only and prefers the service account of a pod to KUBECONFIG.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from lightkube.config.kubeconfig import SingleConfig
from lightkube.config.models import Cluster, Context, NameValue, User

from releaser.adapters import yaml_read
from releaser.errors import InputError

EXEC_V1 = "client.authentication.k8s.io/v1"
EXEC_V1BETA1 = "client.authentication.k8s.io/v1beta1"
CONTEXTS = "see what there is: kubectl config get-contexts"

Entries = dict[str, tuple[dict[str, Any], Path]]


def read_config(files: Sequence[Path], context: str) -> SingleConfig:
    """Return what a context names; of two files that name a thing the first wins."""
    contexts, clusters, users = (_merge(files, kind) for kind in ("context", "cluster", "user"))
    if not contexts:
        raise InputError(
            f"there is no kubeconfig with contexts in {', '.join(map(str, files))}",
            "name its file in KUBECONFIG; " + CONTEXTS,
        )
    if context not in contexts:
        raise InputError(
            f"the kubeconfig has no context {context}, only {', '.join(sorted(contexts))}", CONTEXTS
        )
    try:
        chosen = msgspec.convert(contexts[context][0], Context)
        cluster = _read_cluster(*clusters[chosen.cluster])
        user = _read_user(*users[chosen.user]) if chosen.user else User()
    except KeyError as error:
        raise InputError(
            f"context {context} names {error}, which the kubeconfig does not have", CONTEXTS
        ) from error
    except (msgspec.ValidationError, ValueError) as error:
        raise InputError(f"context {context} of the kubeconfig: {error}", CONTEXTS) from error
    return SingleConfig(context_name=context, context=chosen, cluster=cluster, user=user)


def _merge(files: Sequence[Path], kind: str) -> Entries:
    merged: Entries = {}
    for file in files:
        for name, entry in _read_entries(file, kind):
            merged.setdefault(name, (entry, file))
    return merged


def _read_cluster(entry: dict[str, Any], file: Path) -> Cluster:
    cluster = msgspec.convert(entry, Cluster)
    cluster.certificate_auth = _absolute(cluster.certificate_auth, file)
    return cluster


def _read_user(entry: dict[str, Any], file: Path) -> User:
    if "as" in entry:
        raise ValueError(f"it acts as another user ({entry['as']}), which the releaser cannot")
    user = msgspec.convert(entry, User)
    user.client_cert = _absolute(user.client_cert, file)
    user.client_key = _absolute(user.client_key, file)
    user.token_file = _absolute(user.token_file, file)
    _accept_exec_v1(user)
    return user


def _absolute(path: str | None, file: Path) -> str | None:
    """Resolve a path of the kubeconfig against the file that names it."""
    return str(file.absolute().parent / path) if path else None


def _read_entries(file: Path, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        entries = yaml_read.read(file.read_text()).get(f"{kind}s") or []
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from error
    except yaml_read.YamlError as error:
        raise InputError(f"{file}:{error.line or 1}: {error.message}", "correct the kubeconfig") from error
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get(kind), dict):
            yield str(entry.get("name")), entry[kind]


def _accept_exec_v1(user: User) -> None:
    """Let lightkube run credential plugins of v1: it knows v1beta1, whose answer is the same."""
    if user.exec is not None and user.exec.apiVersion == EXEC_V1:
        request = {"apiVersion": EXEC_V1, "kind": "ExecCredential", "spec": {"interactive": False}}
        variables = [NameValue("KUBERNETES_EXEC_INFO", json.dumps(request)), *(user.exec.env or [])]
        user.exec.env, user.exec.apiVersion = variables, EXEC_V1BETA1
