"""Generated certificates are renewed before they end, and clients trust every step of it."""

import base64
import json
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pgha import certificates
from pgha.certificates import (
    Pair,
    Renewal,
    is_due,
    is_issued_by,
    make_authority,
    make_certificate,
    openssl,
    split,
)
from pgha.kube import ApiError
from pgha.trust import give_authority

from tests.charts.looked_up import Cluster, Release

ROOT = Path(__file__).resolve().parents[2]
HOSTS = ["db-primary", "*.db-members.stage.svc"]
NOW = datetime.now(UTC)


class Secrets:
    """Stands for the API: Secrets by name."""

    def __init__(self, **data: dict[str, str]) -> None:
        self.data = data
        self.patches: list[tuple[str, set[str]]] = []

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        name = path.removeprefix("/secrets/").replace("-", "_")
        if method == "PATCH":
            self.data[name] |= {key: base64.b64decode(value).decode() for key, value in body["data"].items()}
            self.patches.append((name, set(body["data"])))
        return {
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in self.data[name].items()}
        }


def make_secrets(authority: Pair, leaf: Pair) -> Secrets:
    return Secrets(
        db_ca={"ca.crt": authority.certificate, "ca.key": authority.key},
        db_tls={"tls.crt": leaf.certificate, "tls.key": leaf.key, "ca.crt": authority.certificate},
    )


def renew(secrets: Secrets, now: datetime = NOW) -> str:
    return Renewal(secrets, "db", HOSTS, 90, now).run()  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def authority() -> Pair:
    return make_authority("db CA")


def test_the_longest_name_has_an_authority() -> None:
    name = "x" * 52
    first, second = make_authority(f"{name} CA"), make_authority(f"{name} CA")
    assert f"CN={'x' * 44} 20" in openssl("x509", "-noout", "-subject", text=first.certificate).replace(
        " = ", "="
    )
    assert first.key != second.key


def trusts(bundle: str, certificate: str) -> bool:
    return any(is_issued_by(certificate, one) for one in split(bundle))


def test_a_certificate_is_good_for_members_and_services(authority: Pair, tmp_path: Path) -> None:
    leaf = make_certificate(authority, HOSTS, 90)
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-text"],
        input=leaf.certificate,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "DNS:db-primary, DNS:*.db-members.stage.svc" in shown
    assert "TLS Web Server Authentication, TLS Web Client Authentication" in shown
    assert "CA:FALSE" in shown
    assert "CA:TRUE" not in shown
    (tmp_path / "crt").write_text(leaf.certificate)
    (tmp_path / "key").write_text(leaf.key)
    context = ssl.create_default_context(cadata=authority.certificate)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")


def test_nothing_happens_while_there_is_time(authority: Pair) -> None:
    secrets = make_secrets(authority, make_certificate(authority, HOSTS, 90))
    before = json.dumps(secrets.data)
    assert renew(secrets).startswith("nothing is due before 20")
    assert json.dumps(secrets.data) == before


def test_it_is_renewed_when_a_third_is_left(authority: Pair) -> None:
    leaf = make_certificate(authority, HOSTS, 90)
    assert not is_due(leaf.certificate, NOW + timedelta(days=59))
    assert is_due(leaf.certificate, NOW + timedelta(days=61))
    secrets = make_secrets(authority, leaf)
    assert renew(secrets, NOW + timedelta(days=61)) == "new certificate"
    assert secrets.data["db_tls"]["tls.crt"] != leaf.certificate
    assert trusts(secrets.data["db_tls"]["ca.crt"], secrets.data["db_tls"]["tls.crt"])


def test_a_new_authority_is_trusted_before_it_is_used() -> None:
    old = make_authority("db CA", days=300)
    leaf = make_certificate(old, HOSTS, 90)
    secrets = make_secrets(old, leaf)

    assert renew(secrets).startswith("new authority")
    # Patroni reads authorities only together with a certificate that is new.
    between = secrets.data["db_tls"]["tls.crt"]
    assert between != leaf.certificate
    assert is_issued_by(between, old.certificate)
    # What is mounted changes at once: members never see the one without the other.
    assert [keys for name, keys in secrets.patches if name == "db_tls"] == [{"tls.crt", "tls.key", "ca.crt"}]
    # Last: who is stopped before it begins anew, and members never get a certificate they do not trust.
    assert secrets.patches[-1][0] == "db_ca"
    assert len(split(secrets.data["db_tls"]["ca.crt"])) == 2
    assert trusts(secrets.data["db_tls"]["ca.crt"], leaf.certificate)

    assert renew(secrets) == "new certificate"
    made = secrets.data["db_tls"]["tls.crt"]
    assert is_issued_by(made, secrets.data["db_ca"]["ca.crt"])
    assert not is_issued_by(made, old.certificate)
    # Who still has yesterday's certificate is not cut off either.
    assert trusts(secrets.data["db_tls"]["ca.crt"], between)

    renew(secrets, NOW + timedelta(days=301))
    assert not trusts(secrets.data["db_tls"]["ca.crt"], leaf.certificate)


def test_what_another_authority_issued_is_replaced(authority: Pair) -> None:
    other = make_authority("other CA")
    secrets = make_secrets(authority, make_certificate(other, HOSTS, 90))
    assert renew(secrets) == "new certificate"


class Refusing:
    """Stands for an API that refuses."""

    def call(self, method: str, path: str, _: Any = None) -> dict[str, Any]:
        raise ApiError(403, f"{method} {path}: 403 forbidden")


class Empty:
    """Stands for an API whose Secrets have no certificates."""

    def call(self, *_: Any) -> dict[str, Any]:
        return {"data": {}}


@pytest.mark.parametrize(
    ("api", "said"),
    [(Refusing(), "GET /secrets/db-ca: 403 forbidden"), (Empty(), "the Secret db-ca has no ca.crt")],
)
def test_what_goes_wrong_is_said_in_one_line(
    api: Any, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"FULLNAME": "db", "CRONJOB": "db-certificates", "TLS_HOSTS": "db", "TLS_DAYS": "90"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(certificates.Api, "in_cluster", lambda: api)
    assert certificates.main() == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: the certificates of db were not renewed: {said}")
    assert "kubectl create job --from=cronjob/db-certificates db-certificates-now" in error
    assert error.count("\n") == 1


def test_the_application_gets_the_authority_that_members_show(tmp_path: Path) -> None:
    secrets = Secrets(db_app={"password": "x"})
    file = tmp_path / "ca.crt"

    def give() -> bool:
        found = secrets.call("GET", "/secrets/db-app")["data"].get("ca.crt", "")
        return give_authority(secrets, "db-app", found, file)  # type: ignore[arg-type]

    assert not give(), "there is none yet"
    file.write_text("one")
    assert give()
    assert secrets.data["db_app"] == {"password": "x", "ca.crt": "one"}
    assert not give()
    file.write_text("two")
    assert give()
    # A rollback brings the one of its revision back.
    secrets.data["db_app"]["ca.crt"] = "one"
    assert give()
    assert secrets.data["db_app"]["ca.crt"] == "two"


def test_an_install_makes_certificates_before_anything_else(release: Release) -> None:
    """As hooks, which no revision holds: a rollback would write back a certificate that has ended."""
    made = release.secrets()
    for name in ("demo-ca", "demo-tls"):
        annotations = made[name]["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert annotations["helm.sh/hook-delete-policy"] == "hook-failed"
        # An older revision has them in its manifest, and an upgrade of that must not take them away.
        assert annotations["helm.sh/resource-policy"] == "keep"
    assert is_issued_by(made["demo-tls"]["data"]["tls.crt"], made["demo-ca"]["data"]["ca.crt"])
    assert made["demo-tls"]["data"]["ca.crt"] == made["demo-ca"]["data"]["ca.crt"]


def test_certificates_that_are_there_are_left_alone(
    release: Release, cluster: Cluster, authority: Pair
) -> None:
    leaf = make_certificate(authority, HOSTS, 90)
    cluster.secrets = {
        "demo-ca": {"ca.crt": authority.certificate, "ca.key": authority.key},
        "demo-tls": {"tls.crt": leaf.certificate, "tls.key": leaf.key, "ca.crt": authority.certificate},
    }
    made = release.secrets()
    assert set(made) == {"demo-app", "demo-internal"}


def test_a_certificate_that_is_gone_comes_from_the_same_authority(
    release: Release, cluster: Cluster, authority: Pair
) -> None:
    cluster.secrets = {"demo-ca": {"ca.crt": authority.certificate, "ca.key": authority.key}}
    made = release.secrets()
    assert "demo-ca" not in made
    assert is_issued_by(made["demo-tls"]["data"]["tls.crt"], authority.certificate)
    assert made["demo-tls"]["data"]["ca.crt"] == authority.certificate


def test_an_authority_that_is_gone_leaves_the_certificate_for_the_cron_job(
    release: Release, cluster: Cluster, authority: Pair
) -> None:
    leaf = make_certificate(authority, HOSTS, 90)
    cluster.secrets = {
        "demo-tls": {"tls.crt": leaf.certificate, "tls.key": leaf.key, "ca.crt": authority.certificate}
    }
    made = release.secrets()
    assert "demo-tls" not in made
    assert not is_issued_by(leaf.certificate, made["demo-ca"]["data"]["ca.crt"])
