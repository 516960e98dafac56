"""Certificates of cert-manager: its own controllers issue and renew them, and clients can check them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.faults.certificates import give_certificate, mounted, wait_shown
from tests.faults.database import Database, FaultError, run, wait_until
from tests.namespaces import write_kubeconfig

PROGRAM = "cert-manager-local"
ISSUED = ("tls.mode=certManager", "tls.issuerRef.name=ours", "tls.issuerRef.kind=Issuer")


@pytest.fixture
def program(context: str) -> Iterator[Path]:
    """Return cert-manager's controllers; its kinds are there as long as they run, or longer if they were."""
    found = shutil.which(PROGRAM)
    assert found, f"{PROGRAM} is not on PATH: make test PHASES=faults builds it"
    built = Path(found).resolve()
    kubectl = ("kubectl", "--context", context)
    there = run(*kubectl, "get", "crd", "-o", "name").split()
    made: list[str] = []
    try:
        for path in sorted(built.parent.glob("*.yaml")):
            name = yaml.safe_load(path.read_text())["metadata"]["name"]
            if f"customresourcedefinition.apiextensions.k8s.io/{name}" not in there:
                made.append(name)
                run(*kubectl, "create", "-f", str(path))
            # `kubectl wait` fails on one that has no conditions yet.
            established = 'jsonpath={.status.conditions[?(@.type=="Established")].status}'
            look = (*kubectl, "get", "crd", name, "-o", established)
            wait_until(f"{name} is established", lambda look=look: run(*look) == "True", 60)
        yield built
    finally:
        if made:
            run(*kubectl, "delete", "crd", "--ignore-not-found", *made)


@pytest.fixture
def issuer(other: Database, program: Path, tmp_path: Path) -> Iterator[Database]:
    """Return the database, not installed yet, where an Issuer `ours` signs with an authority of its own."""
    kubeconfig = write_kubeconfig(other.context, tmp_path / "kubeconfig")
    log = tmp_path / "cert-manager.log"
    with log.open("w") as out:
        words = [program, "--kubeconfig", kubeconfig, "--namespace", other.namespace]
        running = subprocess.Popen(words, stdout=out, stderr=out)
        try:
            for made in issuers():
                other.kubectl("apply", "-f", "-", stdin=json.dumps(made))
            other.kubectl("wait", "issuer/ours", "--for=condition=Ready", "--timeout=60s")
            yield other
        finally:
            running.terminate()
            running.wait(30)
            print(log.read_text()[-4000:])  # noqa: T201 - shown when the test fails


def issuers() -> list[dict[str, object]]:
    """Return an authority, and who signs with it."""
    kinds: list[tuple[str, str, dict[str, object]]] = [
        ("Issuer", "self", {"selfSigned": {}}),
        (
            "Certificate",
            "authority",
            {"isCA": True, "commonName": "ours", "secretName": "authority", "issuerRef": {"name": "self"}},
        ),
        ("Issuer", "ours", {"ca": {"secretName": "authority"}}),
    ]
    return [
        {"apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        for kind, name, spec in kinds
    ]


def connect(database: Database) -> str:
    """Log in as the application does, with nothing but its Secret, and check what the member shows."""
    app = database.secret(f"{database.release}-app")
    words = f"host={app['host']} user={app['username']} dbname={app['database']} sslmode=verify-full"
    script = (
        "read -r PGPASSWORD; export PGPASSWORD; cat > /tmp/theirs.crt;"
        f' psql -XAtc "SELECT current_user" "{words} sslrootcert=/tmp/theirs.crt"'
    )
    given = f"{app['password']}\n{app['ca.crt']}"
    pod = database.primary()
    return database.kubectl(
        "exec", "-i", pod, "-c", "postgres", "--", "sh", "-c", script, stdin=given
    ).strip()


def test_cert_manager_issues_and_renews_and_the_application_can_check_it(issuer: Database) -> None:
    database = issuer
    database.apply("install", *ISSUED, members=2)
    database.wait_well()
    wait_until("the application has the authority", lambda: bool(connect(database)), 60)
    assert connect(database) == "notejam"
    assert database.secret("extra-app")["ca.crt"] == database.secret("authority")["tls.crt"]

    before, at_first = database.secret("extra-tls")["tls.crt"], database.starts()
    database.apply("upgrade", *ISSUED, "tls.days=30", members=2)
    wait_until("it is renewed", lambda: database.secret("extra-tls")["tls.crt"] != before, 60)
    wait_shown(database, database.secret("extra-tls")["tls.crt"])
    assert connect(database) == "notejam"
    assert database.starts() == at_first


def test_from_cert_manager_to_a_secret_of_ones_own(issuer: Database) -> None:
    """It would write its own files into the Secret again, so the refusal names what ends that."""
    database = issuer
    database.apply("install", *ISSUED, members=2)
    database.wait_well()
    give_certificate(database)
    own = ("tls.mode=existingSecret", "tls.existingSecret=given")
    with pytest.raises(FaultError, match="another authority") as refused:
        database.apply("upgrade", *own, members=2)
    end = "delete certificate extra"
    assert end in str(refused.value)
    database.kubectl(*end.split())
    database.patch_secret("extra-tls", database.secret("given"))
    wait_shown(database, database.secret("given")["tls.crt"])
    database.wait_well()
    database.apply("upgrade", *own, members=2)
    database.wait_well()
    assert mounted(database) == {"given"}
