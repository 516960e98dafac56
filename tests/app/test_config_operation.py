"""The settings of operation: addresses with several hosts, replicas, metrics, logs, traces."""

import pytest
from notejam.config import ConfigError

from tests.app.test_config import read


def test_the_defaults_need_nothing() -> None:
    settings = read({})

    assert settings.database_replica_url is None
    assert (settings.database_wait_seconds, settings.metrics_port) == (5, 9102)
    assert (settings.log_addresses, settings.tracing) == ("none", False)


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ("a:5432,b:5433", ("a:5432", "b:5433")),
        ("a,b,c", ("a:5432", "b:5432", "c:5432")),
        ("10.0.0.1:1,pg-1.example.org", ("10.0.0.1:1", "pg-1.example.org:5432")),
    ],
)
def test_several_hosts_as_libpq_has_them(hosts: str, expected: tuple[str, ...]) -> None:
    url = read({"DATABASE_URL": f"postgresql://ann:p%2Cw@{hosts}/notes?sslmode=require"}).database_url

    assert url.query["host"] == expected
    assert (url.username, url.password, url.database) == ("ann", "p,w", "notes")
    assert url.query["sslmode"] == "require"


def test_a_password_with_a_comma_is_no_list_of_hosts() -> None:
    url = read({"DATABASE_URL": "postgresql://ann:p,w@db/notes"}).database_url

    assert (url.password, url.host) == ("p,w", "db")


def test_a_replica() -> None:
    settings = read({"DATABASE_REPLICA_URL": "postgres://u:hunter2@replicas/notejam"})

    assert settings.database_replica_url is not None
    assert settings.database_replica_url.drivername == "postgresql+psycopg"
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("primary", "host", "expected"),
    [
        ("postgresql://u:p@db/notejam", "ro", "ro:5432/notejam"),
        ("postgresql://u:p@db:6432/notejam", "ro", "ro:6432/notejam"),
        ("postgresql://u:p@db:6432/notejam", "10.0.0.9:5433", "10.0.0.9:5433/notejam"),
        (
            "postgresql://u:p@a,b/notejam?sslmode=require&target_session_attrs=primary",
            "ro",
            "ro:5432/notejam?sslmode=require",
        ),
    ],
)
def test_a_replica_by_its_host_alone(primary: str, host: str, expected: str) -> None:
    url = read({"DATABASE_URL": primary, "DATABASE_REPLICA_HOST": host}).database_replica_url

    assert url is not None
    assert url.render_as_string(hide_password=False) == f"postgresql+psycopg://u:p@{expected}"


@pytest.mark.parametrize(
    ("environment", "tracing"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://c.example.org/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_SERVICE_NAME": "notejam"}, False),
    ],
)
def test_traces_are_on_where_they_can_go(environment: dict[str, str | None], tracing: bool) -> None:
    assert read(environment).tracing is tracing


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"DATABASE_URL": "postgresql://u:hunter2@a,b"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://u:hunter2@a,[::1]:5432/d"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://u:hunter2@a,b:port/d"}, "DATABASE_URL"),
        ({"DATABASE_REPLICA_URL": "hunter2"}, "DATABASE_REPLICA_URL"),
        ({"DATABASE_REPLICA_URL": "sqlite:////tmp/hunter2"}, "DATABASE_REPLICA_URL"),
        (
            {"DATABASE_REPLICA_URL": "postgresql://u:hunter2@h/d", "DATABASE_URL": "sqlite:////tmp/n"},
            "DATABASE_REPLICA_URL",
        ),
        ({"DATABASE_REPLICA_HOST": "u:hunter2@ro"}, "DATABASE_REPLICA_HOST"),
        (
            {"DATABASE_REPLICA_HOST": "ro", "DATABASE_URL": "sqlite:////tmp/n"},
            "DATABASE_REPLICA_HOST",
        ),
        (
            {"DATABASE_REPLICA_HOST": "ro", "DATABASE_REPLICA_URL": "postgresql://u:hunter2@h/d"},
            "DATABASE_REPLICA_URL",
        ),
        ({"NOTEJAM_DATABASE_WAIT": "31"}, "NOTEJAM_DATABASE_WAIT"),
        ({"NOTEJAM_DATABASE_WAIT": "1.5"}, "NOTEJAM_DATABASE_WAIT"),
        ({"NOTEJAM_METRICS_PORT": "65536"}, "NOTEJAM_METRICS_PORT"),
        ({"NOTEJAM_LOG_ADDRESSES": "some"}, "NOTEJAM_LOG_ADDRESSES"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a b"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ],
)
def test_wrong(changes: dict[str, str | None], name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(changes)

    message = str(caught.value)
    assert message.startswith(f"{name} ")
    assert f"for example: {name}=" in message
    assert "hunter2" not in message, "a value may be a password"
