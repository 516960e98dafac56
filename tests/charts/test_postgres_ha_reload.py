"""Patroni takes up new certificates by itself, whatever its REST API trusts or shows meanwhile."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pgha import start_patroni
from pgha.certificates import Pair, make_authority, make_certificate
from pgha.patroni import fingerprint

HOSTS = ["db-primary"]


def put(folder: Path, authority: Pair, leaf: Pair) -> None:
    for name, text in (
        ("ca.crt", authority.certificate),
        ("tls.crt", leaf.certificate),
        ("tls.key", leaf.key),
    ):
        (folder / name).write_text(text)


@pytest.fixture(scope="module")
def old() -> Pair:
    return make_authority("old CA")


@pytest.fixture
def told() -> list[datetime]:
    return []


@pytest.fixture
def watch(tmp_path: Path, old: Pair, told: list[datetime]) -> start_patroni.Certificates:
    put(tmp_path, old, make_certificate(old, HOSTS, 90))
    known = fingerprint(tmp_path)
    return start_patroni.Certificates(lambda: told.append(datetime.now(UTC)), known, tmp_path)


def test_nothing_is_read_again_while_nothing_changes(
    watch: start_patroni.Certificates, told: list[datetime]
) -> None:
    watch.look()
    assert told == []


def test_a_certificate_of_another_authority_is_read_once(
    watch: start_patroni.Certificates, told: list[datetime], tmp_path: Path
) -> None:
    other = make_authority("other CA")
    put(tmp_path, other, make_certificate(other, HOSTS, 90))
    watch.look()
    watch.look()
    assert len(told) == 1


def test_half_a_change_is_left_alone_until_it_is_whole(
    watch: start_patroni.Certificates,
    told: list[datetime],
    tmp_path: Path,
    old: Pair,
    capsys: pytest.CaptureFixture[str],
) -> None:
    leaf = make_certificate(old, HOSTS, 90)
    (tmp_path / "tls.crt").write_text(leaf.certificate)
    watch.look()
    watch.look()
    assert told == []
    assert capsys.readouterr().err.count("certificates: not read, they do not fit together: ") == 1
    (tmp_path / "tls.key").write_text(leaf.key)
    watch.look()
    assert len(told) == 1


def test_files_that_are_away_are_waited_for(
    watch: start_patroni.Certificates, told: list[datetime], tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    shutil.copytree(tmp_path, kept)
    (tmp_path / "ca.crt").unlink()
    watch.look()
    (tmp_path / "ca.crt").write_text((kept / "ca.crt").read_text())
    watch.look()
    assert told == []
