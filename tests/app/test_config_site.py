"""Settings of mail, limits in rate, hosts and keys."""

from dataclasses import replace
from datetime import timedelta

import pytest
from notejam.config import ConfigError, Settings
from notejam.limit_settings import DEFAULTS, NO_LIMITS, Limit
from notejam.mail_settings import MailKind, MailSettings

from tests.app.test_config import GOOD

EXTERNAL = {"NOTEJAM_EXTERNAL_URL": "https://notes.example.org"}


def read(**changes: str) -> Settings:
    return Settings.from_environment(GOOD | EXTERNAL | changes, serving=True)


def test_nothing_set() -> None:
    settings = read()

    assert settings.mail == MailSettings(MailKind.OFF, sender="from@notejamapp.com", timeout=10)
    assert settings.limits == DEFAULTS
    assert settings.limits.sign_in_account == Limit(10, timedelta(minutes=15))
    assert settings.limits.sign_in_address == Limit(100, timedelta(minutes=15))
    assert settings.limits.sign_up_address == Limit(20, timedelta(hours=1))
    assert settings.limits.forgot_address == Limit(5, timedelta(hours=1))
    assert (settings.secret_key_fallbacks, settings.allowed_hosts, settings.proxy_hops) == ((), (), 0)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail", MailSettings(MailKind.PLAIN, "mail", 25)),
        ("smtp://[::1]:2525/", MailSettings(MailKind.PLAIN, "::1", 2525)),
        (
            "smtp+starttls://us%40er:p%40ss%3A%2F@mail.example.org",
            MailSettings(MailKind.STARTTLS, "mail.example.org", 587, "us@er", "p@ss:/"),
        ),
        ("smtps://u:p@mail:4650", MailSettings(MailKind.TLS, "mail", 4650, "u", "p")),
        ("smtps://mail", MailSettings(MailKind.TLS, "mail", 465)),
        ("log:", MailSettings(MailKind.LOG)),
    ],
)
def test_mail(url: str, expected: MailSettings) -> None:
    assert read(NOTEJAM_MAIL_URL=url).mail == expected


def test_mail_sender_and_timeout() -> None:
    mail = read(NOTEJAM_MAIL_FROM="jam@example.org", NOTEJAM_MAIL_TIMEOUT="3").mail

    assert (mail.sender, mail.timeout) == ("jam@example.org", 3)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("3/10s", Limit(3, timedelta(seconds=10))),
        ("1/15m", Limit(1, timedelta(minutes=15))),
        ("1000000/24h", Limit(1_000_000, timedelta(hours=24))),
        ("off", None),
    ],
)
def test_limits(text: str, limit: Limit | None) -> None:
    assert read(NOTEJAM_LIMIT_SIGN_UP_ADDRESS=text).limits == replace(DEFAULTS, sign_up_address=limit)


def test_limits_off() -> None:
    assert read(NOTEJAM_RATE_LIMITS="off").limits == NO_LIMITS


def test_keys_and_hosts() -> None:
    settings = read(
        SECRET_KEY_FALLBACKS=f"{'a' * 32}, {'b' * 32}\n",
        NOTEJAM_ALLOWED_HOSTS="Notes.internal, 10.0.0.1 ::1",
        NOTEJAM_PROXY_HOPS="2",
    )

    assert settings.secret_key_fallbacks == ("a" * 32, "b" * 32)
    assert settings.allowed_hosts == ("notes.internal", "10.0.0.1", "::1")
    assert settings.proxy_hops == 2
    assert "aaa" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(
            ("NOTEJAM_MAIL_URL", text)
            for text in (
                *(
                    "mail.example.org",
                    "hunter2",
                    "http://u:hunter2@mail",
                    "smtp://",
                    "smtps://u:hunter2@:465",
                ),
                *("smtp://u:hunter2@mail", "smtps://u:hunter2@mail:x", "smtps://u:hunter2@mail/path"),
                *("smtps://u:hunter2é@mail", "smtp+starttls://u:hunter2@mail?x=y", "LOG", "//mail"),
                *("smtps://[u:hunter2@mail", "log:x"),
            )
        ),
        ("NOTEJAM_MAIL_URL_FILE", "/nowhere/hunter2"),
        *(("NOTEJAM_MAIL_FROM", text) for text in ("hunter2", "a@b\nBcc: x@y", "a b@c", "@b")),
        *(("NOTEJAM_MAIL_TIMEOUT", text) for text in ("0", "61", "x")),
        *(
            ("NOTEJAM_LIMIT_SIGN_IN_ACCOUNT", text)
            for text in ("10", "0/1h", "10/0h", "10/25h", "10/1d", "-1/1h", "ten/1h", "10/90000s", "no")
        ),
        ("NOTEJAM_RATE_LIMITS", "0"),
        ("NOTEJAM_PROXY_HOPS", "-1"),
        ("NOTEJAM_PROXY_HOPS", "11"),
        *(("NOTEJAM_ALLOWED_HOSTS", text) for text in ("https://a", "a:80", "*.example.org", "a/b")),
        ("SECRET_KEY_FALLBACKS", "hunter2"),
        ("SECRET_KEY_FALLBACKS", "a" * 32 + ",hunter2"),
    ],
)
def test_wrong(name: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(**{name: text})

    assert caught.value.name == name
    message = str(caught.value)
    assert message.startswith(f"{name} ")
    assert f"for example: {name}=" in message
    assert "hunter2" not in message


def test_links_in_mails_need_an_address() -> None:
    with pytest.raises(ConfigError, match="NOTEJAM_EXTERNAL_URL is not set, and the links in mails"):
        Settings.from_environment(GOOD | {"NOTEJAM_MAIL_URL": "smtp://mail"}, serving=True)


def test_commands_do_without_it() -> None:
    Settings.from_environment(GOOD | {"NOTEJAM_MAIL_URL": "smtp://mail"}, serving=False)


def test_no_password_in_the_text_of_settings() -> None:
    assert "hunter2" not in repr(read(NOTEJAM_MAIL_URL="smtps://u:hunter2@mail"))
