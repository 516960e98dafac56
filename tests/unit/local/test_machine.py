from __future__ import annotations

from pathlib import Path

from local.machine import AptSources, apt_lenience, apt_sources, read_apt_sources

DEB822 = """\
Types: deb
# http://old.test/debian
URIs: http://mirror.test/debian/
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://mirror.test/debian-security
Suites: bookworm-security
Components: main
"""
ONE_LINE = """\
# deb http://old.test/debian bookworm main
deb https://packages.test/tools stable main
deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] http://mirror.test/debian bookworm main
deb http://security.test/debian-security bookworm-security main
"""


def test_the_new_format_is_read() -> None:
    expected = AptSources("http://mirror.test/debian", "http://mirror.test/debian-security")
    assert read_apt_sources([DEB822]) == expected


def test_the_old_format_is_read() -> None:
    expected = AptSources("http://mirror.test/debian", "http://security.test/debian-security")
    assert read_apt_sources([ONE_LINE]) == expected


def test_security_updates_are_next_to_a_mirror_by_default() -> None:
    found = read_apt_sources(["deb http://mirror.test/debian trixie main"])
    assert found.security == "http://mirror.test/debian-security"


def test_another_mirror_can_be_named() -> None:
    found = read_apt_sources([DEB822], "http://near.test/debian/")
    assert found == AptSources("http://near.test/debian", "http://near.test/debian-security")


def test_a_system_without_debian_has_no_mirror() -> None:
    assert read_apt_sources(["deb http://archive.test/ubuntu noble main"]) == AptSources("", "")


def test_the_files_of_apt_are_found(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    assert apt_sources(folder=tmp_path).mirror == "http://mirror.test/debian"


def test_lenience_on_expired_indexes_is_taken_over() -> None:
    dump = 'APT "";\nAcquire::Check-Valid-Until "false";\nAcquire::http::Proxy "http://user:pw@proxy.test";\n'
    assert apt_lenience(dump) == {"Acquire::Check-Valid-Until": "false"}
