"""The CronJob of generated certificates: renews them when two thirds of their time are over, with openssl.

The authority is renewed a year before its end. For a day both the old and the new one are trusted while the
members still show a certificate of the old one; the next run gives them one of the new authority. Members
take new files up by themselves, and bring the authorities into the application's Secret.

Exit code 0: all is well. 1: something is in the way, the Job and the next run try again.
"""

import base64
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pgha.kube import Api, tell

CA_DAYS = 3650
CA_EARLY = timedelta(days=365)
# X.509 leaves a common name 64 characters, of which the time takes 20.
CA_NAME_LENGTH = 44
EARLY_SHARE = 3
_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in PEM."""

    certificate: str
    key: str


def openssl(*words: str, text: str = "") -> str:
    """Run openssl; raise OSError with what it says."""
    done = subprocess.run(
        ["openssl", *words], input=text, capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        raise OSError(f"openssl {words[0]}: {done.stderr.strip()}")
    return done.stdout


def validity(certificate: str) -> tuple[datetime, datetime]:
    """Return from when until when a certificate is valid."""
    told = openssl("x509", "-noout", "-startdate", "-enddate", text=certificate)
    found = dict(line.split("=", 1) for line in told.split("\n") if "=" in line)
    times = (found[key].replace("GMT", "+0000") for key in ("notBefore", "notAfter"))
    begin, end = (datetime.strptime(time, "%b %d %H:%M:%S %Y %z") for time in times)
    return begin, end


def is_due(certificate: str, now: datetime) -> bool:
    """Whether less than a third of its time is left."""
    begin, end = validity(certificate)
    return end - now < (end - begin) / EARLY_SHARE


def is_issued_by(certificate: str, authority: str) -> bool:
    """Whether the authority signed it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ca.crt"
        path.write_text(authority, encoding="ascii")
        words = ["openssl", "verify", "-partial_chain", "-no_check_time", "-CAfile", str(path)]
        done = subprocess.run(
            words, input=certificate, capture_output=True, text=True, check=False, timeout=60
        )
    return done.returncode == 0


def make_authority(name: str, days: int = CA_DAYS) -> Pair:
    """Make a new authority."""
    # The time in the name tells two of them apart where both are trusted.
    subject = f"/CN={name[:CA_NAME_LENGTH]} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    return _make(subject, days, ("-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"))


def make_certificate(authority: Pair, hosts: list[str], days: int) -> Pair:
    """Make a certificate for servers and clients."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("ca.crt", authority.certificate), ("ca.key", authority.key)):
            (Path(folder) / name).write_text(text, encoding="ascii")
        words = ("-CA", f"{folder}/ca.crt", "-CAkey", f"{folder}/ca.key")
        extensions = (
            "subjectAltName=" + ",".join(f"DNS:{host}" for host in hosts),
            "basicConstraints=critical,CA:FALSE",
            "keyUsage=critical,digitalSignature",
            "extendedKeyUsage=serverAuth,clientAuth",
        )
        added = tuple(word for extension in extensions for word in ("-addext", extension))
        return _make(f"/CN={hosts[0]}", days, (*words, *added))


def _make(subject: str, days: int, words: tuple[str, ...]) -> Pair:
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        made = openssl(
            "req", "-x509", *_CURVE, "-keyout", str(key), "-subj", subject, "-days", str(days), *words
        )
        return Pair(made, key.read_text(encoding="ascii"))


def split(bundle: str) -> list[str]:
    """Split a file of several certificates."""
    end = "-----END CERTIFICATE-----"
    return [part.strip() + f"\n{end}\n" for part in bundle.split(end) if part.strip()]


class Renewal:
    """One look at the Secrets, and what it takes."""

    def __init__(self, api: Api, name: str, hosts: list[str], days: int, now: datetime) -> None:
        self._api, self._name, self._hosts, self._days, self._now = api, name, hosts, days, now

    def run(self) -> str:
        """Renew what is due; return what was done."""
        authority = self._read(f"{self._name}-ca", "ca.crt", "ca.key")
        current = self._read(f"{self._name}-tls", "tls.crt", "tls.key")
        bundle = split(self._value(f"{self._name}-tls", "ca.crt"))
        made, is_new = None, False
        if validity(authority.certificate)[1] - self._now < CA_EARLY:
            # Patroni reads its authorities only together with a certificate that it has not seen.
            made, is_new = make_certificate(authority, self._hosts, self._days), True
            authority = make_authority(f"{self._name} CA")
            done = "new authority; members follow at the next run"
        elif is_due(current.certificate, self._now) or not is_issued_by(
            current.certificate, authority.certificate
        ):
            made = make_certificate(authority, self._hosts, self._days)
            done = "new certificate"
        else:
            done = f"nothing is due before {self._next(current.certificate):%Y-%m-%d}"
        trusted = [authority.certificate]
        trusted += [
            one for one in bundle if validity(one)[1] > self._now and one.strip() != trusted[0].strip()
        ]
        text = "".join(trusted)
        changed = {"ca.crt": text} if text != "".join(bundle) else {}
        if made:
            changed |= {"tls.crt": made.certificate, "tls.key": made.key}
        if changed:
            # In one piece, so that no member sees a part of it.
            self._write(f"{self._name}-tls", changed)
        if is_new:
            # Last: a run that is cut off before this begins anew, and what it forgot has signed nothing.
            self._write(f"{self._name}-ca", {"ca.crt": authority.certificate, "ca.key": authority.key})
        return done

    def _next(self, certificate: str) -> datetime:
        begin, end = validity(certificate)
        return end - (end - begin) / EARLY_SHARE

    def _data(self, secret: str) -> dict[str, str]:
        data = self._api.call("GET", f"/secrets/{secret}").get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def _value(self, secret: str, key: str) -> str:
        data = self._data(secret)
        if key not in data:
            raise OSError(f"the Secret {secret} has no {key}")
        return data[key]

    def _read(self, secret: str, certificate: str, key: str) -> Pair:
        return Pair(self._value(secret, certificate), self._value(secret, key))

    def _write(self, secret: str, data: dict[str, str]) -> None:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        self._api.call("PATCH", f"/secrets/{secret}", {"data": encoded})


def main() -> int:
    """Run once."""
    env = os.environ
    name, job = env["FULLNAME"], env["CRONJOB"]
    hosts, days = env["TLS_HOSTS"].split(), int(env["TLS_DAYS"])
    try:
        renewal = Renewal(Api.in_cluster(), name, hosts, days, datetime.now(UTC))
        done = renewal.run()
    # ValueError: a certificate, or an answer, that nobody can read.
    except (OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(
            f"error: the certificates of {name} were not renewed: {tell(error)}; "
            f"once that is mended: kubectl create job --from=cronjob/{job} {job}-now\n"
        )
        return 1
    sys.stdout.write(done + "\n")
    return 0
