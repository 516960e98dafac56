"""Settings: checked at start, and said plainly when they are wrong."""

from pathlib import Path

import pytest
from notejam.config import ConfigError, Settings, load_for_serving

GOOD = {"DATABASE_URL": "postgresql://notejam:pw@db/notejam", "SECRET_KEY": "k" * 32}


def read(changes: dict[str, str | None], *, serving: bool = True) -> Settings:
    merged = {**GOOD, **changes}
    return Settings.from_environment({k: v for k, v in merged.items() if v is not None}, serving=serving)


def test_good() -> None:
    settings = read(
        {"NOTEJAM_EXTERNAL_URL": "https://notes.example.org/", "NOTEJAM_TIMEZONE": "Europe/Helsinki"}
    )

    assert settings.database_url.drivername == "postgresql+psycopg"
    assert settings.external_url == "https://notes.example.org"
    assert settings.is_https
    assert str(settings.timezone) == "Europe/Helsinki"
    assert (settings.version, settings.commit, settings.threads) == ("unknown", "unknown", 8)


@pytest.mark.parametrize(
    "url", ["postgresql://u:p@h:5432/d", "postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d?sslmode=require"]
)
def test_postgres_addresses(url: str) -> None:
    assert read({"DATABASE_URL": url}).database_url.drivername == "postgresql+psycopg"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"DATABASE_URL": None}, "DATABASE_URL"),
        ({"DATABASE_URL": ""}, "DATABASE_URL"),
        ({"DATABASE_URL": "hunter2"}, "DATABASE_URL"),
        ({"DATABASE_URL": "mysql://u:hunter2@h/d"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://u:hunter2@h:port/d"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://u:hunter2@h"}, "DATABASE_URL"),
        ({"DATABASE_URL": "sqlite://"}, "DATABASE_URL"),
        ({"DATABASE_URL": "sqlite:///:memory:"}, "DATABASE_URL"),
        ({"SECRET_KEY": None}, "SECRET_KEY"),
        ({"SECRET_KEY": "hunter2"}, "SECRET_KEY"),
        ({"SECRET_KEY": None, "SECRET_KEY_FILE": "/nowhere/hunter2"}, "SECRET_KEY_FILE"),
        ({"NOTEJAM_EXTERNAL_URL": "notes.example.org"}, "NOTEJAM_EXTERNAL_URL"),
        ({"NOTEJAM_EXTERNAL_URL": "ftp://notes.example.org"}, "NOTEJAM_EXTERNAL_URL"),
        ({"NOTEJAM_EXTERNAL_URL": "https://notes.example.org/path"}, "NOTEJAM_EXTERNAL_URL"),
        ({"NOTEJAM_EXTERNAL_URL": "https://u:hunter2@notes.example.org"}, "NOTEJAM_EXTERNAL_URL"),
        ({"NOTEJAM_EXTERNAL_URL": "https://notes.example.org:x"}, "NOTEJAM_EXTERNAL_URL"),
        ({"NOTEJAM_EXTERNAL_URL": "https://"}, "NOTEJAM_EXTERNAL_URL"),
        ({"NOTEJAM_TIMEZONE": "Mars/Olympus"}, "NOTEJAM_TIMEZONE"),
        ({"NOTEJAM_TIMEZONE": "../../etc/passwd"}, "NOTEJAM_TIMEZONE"),
        ({"NOTEJAM_TIMEZONE": "Europe"}, "NOTEJAM_TIMEZONE"),
        ({"NOTEJAM_THREADS": "0"}, "NOTEJAM_THREADS"),
        ({"NOTEJAM_THREADS": "many"}, "NOTEJAM_THREADS"),
        ({"NOTEJAM_THREADS": "65"}, "NOTEJAM_THREADS"),
    ],
)
def test_wrong(changes: dict[str, str | None], name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(changes)

    assert caught.value.name == name
    message = str(caught.value)
    assert message.startswith(f"{name} ")
    assert f"for example: {name}=" in message
    assert "hunter2" not in message, "a value may be a password"


def test_commands_do_without_a_secret_key() -> None:
    assert read({"SECRET_KEY": None}, serving=False).secret_key is None


def test_values_from_files(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("sqlite:////data/n.sqlite\n", encoding="utf-8")
    (tmp_path / "key").write_text("k" * 40 + "\n", encoding="utf-8")
    settings = read(
        {
            **dict.fromkeys(GOOD),
            "DATABASE_URL_FILE": str(tmp_path / "url"),
            "SECRET_KEY_FILE": str(tmp_path / "key"),
        }
    )

    assert settings.database_url.database == "/data/n.sqlite"
    assert settings.secret_key == "k" * 40


def test_value_and_file_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SECRET_KEY_FILE and SECRET_KEY are both set"):
        read({"SECRET_KEY_FILE": str(tmp_path)})


def test_no_secret_in_the_text_of_settings() -> None:
    text = repr(read({"SECRET_KEY": "hunter2" * 8, "DATABASE_URL": "postgresql://u:hunter2@h/d"}))

    assert "hunter2" not in text


def test_the_process_ends_with_the_message(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        load_for_serving({})

    assert stopped.value.code == 1
    assert capsys.readouterr().err.splitlines() == [
        "notejam: DATABASE_URL is not set",
        "  for example: DATABASE_URL=postgresql://notejam:PASSWORD@db.example.org:5432/notejam",
    ]
