"""Certificates that the suite puts into Secrets."""

from __future__ import annotations

from collections.abc import Mapping

from pgha.certificates import Pair, make_authority, make_certificate

from tests.faults.database import Database, wait_until


def authority_pair() -> dict[str, str]:
    """Return the data of a new authority's Secret."""
    made = make_authority("another")
    return {"ca.crt": made.certificate, "ca.key": made.key}


def short_lived(authority: Mapping[str, str]) -> dict[str, str]:
    """Return a certificate of an authority that ends in a day, which is due at once."""
    made = make_certificate(Pair(authority["ca.crt"], authority["ca.key"]), ["db-primary"], 1)
    return {"tls.crt": made.certificate, "tls.key": made.key}


def give_certificate(database: Database) -> None:
    """Make the Secret of `tls.existingSecret`, by an authority that nobody knows yet."""
    name = database.release
    authority = make_authority("theirs")
    hosts = [f"{name}-primary", f"{name}-replicas", f"*.{name}-members", "localhost"]
    made = make_certificate(authority, hosts, 30)
    data = {"tls.crt": made.certificate, "tls.key": made.key, "ca.crt": authority.certificate}
    database.make_secret("given", data)


def wait_shown(database: Database, certificate: str) -> None:
    """Wait until every member shows the first certificate of the text, Postgres and Patroni."""
    wanted, _, _ = certificate.partition("-----END")
    for pod in (item["metadata"]["name"] for item in database.pods()):
        for where in ("5432 -starttls postgres", "8008"):
            shown = f"openssl s_client -connect localhost:{where} < /dev/null 2> /dev/null | openssl x509"
            wait_until(
                f"{pod} shows it on {where}",
                lambda pod=pod, shown=shown: wanted in database.inside(pod, shown),
                180,
            )


def mounted(database: Database) -> set[str]:
    """Name the Secrets that the members have their certificates from."""
    return {
        volume["secret"]["secretName"]
        for pod in database.pods()
        for volume in pod["spec"]["volumes"]
        if volume["name"] == "tls"
    }
