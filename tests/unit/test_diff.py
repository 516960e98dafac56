"""Lines for what changes in values, without the secrets in them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from releaser.core.diff import diff_values, short_digest

KEYS = st.sampled_from(["a", "b", "a.b", "image", "replicas", "0"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
TREES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=3),
    max_leaves=8,
)
VALUES = st.dictionaries(KEYS, TREES, max_size=4)
SECRET = "Correct-Horse-9"
"""Long and odd enough not to be part of a line by chance."""


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ({}, {}, ()),
        ({}, {"replicas": 2}, ("replicas: 2 (new)",)),
        ({"replicas": 2}, {}, ("replicas: 2 (removed)",)),
        ({"replicas": 2}, {"replicas": 3}, ("replicas: 2 -> 3",)),
        (
            {"image": {"tag": "1", "name": "app"}},
            {"image": {"tag": "2", "name": "app"}},
            ("image.tag: 1 -> 2",),
        ),
        ({"hosts": ["a", "b"]}, {"hosts": ["a", "c"]}, ("hosts[1]: b -> c",)),
        ({"hosts": ["a", "b"]}, {"hosts": ["a"]}, ("hosts[1]: b (removed)",)),
        ({"a": None}, {}, ("a: null (removed)",)),
        ({}, {"a": {}, "b": [], "c": ""}, ("a: {} (new)", "b: [] (new)", 'c: "" (new)')),
        ({"a": {"b": 1}}, {"a": 1}, ("a: 1 (new)", "a.b: 1 (removed)")),
        ({"tls": False}, {"tls": True}, ("tls: false -> true",)),
    ],
)
def test_each_scalar_that_differs_has_its_line(
    old: dict[str, Any], new: dict[str, Any], lines: tuple[str, ...]
) -> None:
    assert diff_values(old, new) == lines


def test_lines_are_in_the_order_of_the_keys_and_lists_in_that_of_their_items() -> None:
    lines = diff_values({}, {"b": 1, "a": list(range(11))})
    assert [line.split(":")[0] for line in lines] == [*(f"a[{index}]" for index in range(11)), "b"]


@pytest.mark.parametrize(
    ("was", "will", "line"),
    [
        (1, "1", 'a: 1 -> "1"'),
        (True, "true", 'a: true -> "true"'),
        (True, 1, "a: true -> 1"),
        (None, "null", 'a: null -> "null"'),
        ("x" * 90 + "1", "x" * 90 + "2", f'a: ...{"x" * 33}1" -> ...{"x" * 33}2"'),
        (
            "x" * 80 + "1" + "y" * 80,
            "x" * 80 + "2" + "y" * 80,
            f"a: ...{'x' * 33}1{'y' * 32}... -> ...{'x' * 33}2{'y' * 32}...",
        ),
    ],
)
def test_two_values_that_look_alike_are_shown_apart(was: object, will: object, line: str) -> None:
    assert diff_values({"a": was}, {"a": will}) == (line,)


def test_a_number_that_helm_gives_back_without_its_fraction_is_the_same() -> None:
    assert diff_values({"cpu": 1}, {"cpu": 1.0}) == ()


def test_a_key_with_a_dot_is_not_a_path() -> None:
    assert diff_values({"a.b": 1}, {"a": {"b": 1}}) == ("a.b: 1 (new)", "a.b: 1 (removed)")


def test_a_digest_is_cut_to_what_people_compare() -> None:
    digest = "sha256:" + "0123456789abcdef" * 4
    assert short_digest(f"app@{digest} and {digest}") == "app@sha256:0123456789ab and sha256:0123456789ab"
    assert diff_values({}, {"digest": digest}) == ("digest: sha256:0123456789ab (new)",)


def test_a_long_text_is_cut_and_lines_stay_lines() -> None:
    assert diff_values({}, {"a": "x" * 73}) == (f"a: {'x' * 69}... (new)",)
    assert diff_values({}, {"a": "x" * 72}) == (f"a: {'x' * 72} (new)",)
    assert diff_values({}, {"a": "one\ntwo\x1b[2J"}) == ('a: "one\\ntwo\\u001b[2J" (new)',)


@pytest.mark.parametrize(
    "values",
    [
        {"password": SECRET},
        {"database": {"adminPassword": SECRET}},
        {"passwords": [SECRET]},
        {"secret": {"anything": SECRET}},
        {"SECRET_KEY": SECRET},
        {"clientSecret": SECRET},
        {"apiKey": SECRET},
        {"api-key": SECRET},
        {"session": {"key": SECRET}},
        {"sessionKey": SECRET},
        {"encryption_key": SECRET},
        {"token": SECRET},
        {"credentials": {"user": SECRET}},
        {"privateKey": SECRET},
        {"tls": {"crt": f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}"}},
        {"uri": f"postgresql://notejam:{SECRET}@db:5432/notejam"},
        {"broker": f"redis://:{SECRET}@cache"},
        {"extraEnv": [{"name": "DB_PASSWORD", "value": SECRET}]},
        {"extraEnv": [{"name": "DB_PASSWORD", "value": {"parts": [SECRET]}}]},
        {"extraEnv": [{"name": "ADDRESS", "value": f"amqp://ann:{SECRET}@queue"}]},
    ],
)
def test_a_secret_is_never_shown(values: dict[str, Any]) -> None:
    other = {"extraEnv": [{"name": "DB_PASSWORD", "value": "before"}]} if "extraEnv" in values else {}
    lines = "\n".join(diff_values(other, values) + diff_values(values, other))
    assert "(hidden)" in lines
    assert SECRET not in lines


def test_that_a_secret_changes_is_shown() -> None:
    assert diff_values({"password": "a"}, {"password": "b"}) == ("password: (hidden) -> (hidden)",)


def test_the_name_of_a_secret_variable_is_shown() -> None:
    lines = diff_values({}, {"env": [{"name": "DB_PASSWORD", "value": SECRET}]})
    assert lines == ("env[0].name: DB_PASSWORD (new)", "env[0].value: (hidden) (new)")


def test_a_variable_that_becomes_a_secret_hides_both() -> None:
    old = {"env": [{"name": "DB_PASSWORD", "value": SECRET}]}
    new = {"env": [{"name": "COLOUR", "value": "red"}]}
    assert diff_values(old, new)[1] == "env[0].value: (hidden) -> (hidden)"


@pytest.mark.parametrize(
    "values",
    [
        {"database": {"secretName": "notejam-db-app"}},
        {"database": {"secretKey": "uri"}},
        {"session": {"existingSecret": "mine"}},
        {"imagePullSecrets": [{"name": "registry"}]},
        {"externalUrl": "https://notes.example.org:8443/a@b"},
        {"extraEnv": [{"name": "COLOUR", "value": "red"}]},
        {"keys": "a", "keyboard": "b", "monkey": "c"},
    ],
)
def test_what_only_says_where_a_secret_is_stays_readable(values: dict[str, Any]) -> None:
    assert "(hidden)" not in "\n".join(diff_values({}, values))


@given(VALUES)
def test_equal_values_have_no_difference(values: dict[str, Any]) -> None:
    assert diff_values(values, values) == ()


@given(VALUES, VALUES)
def test_values_without_a_difference_are_equal(old: dict[str, Any], new: dict[str, Any]) -> None:
    if not diff_values(old, new):
        assert old == new


@given(VALUES, VALUES)
def test_both_directions_name_the_same_keys(old: dict[str, Any], new: dict[str, Any]) -> None:
    there, back = diff_values(old, new), diff_values(new, old)
    assert [line.split(": ")[0] for line in there] == [line.split(": ")[0] for line in back]
    assert [line.endswith(" (new)") for line in there] == [line.endswith(" (removed)") for line in back]


@given(VALUES, VALUES, st.sampled_from(["password", "dbPassword", "authToken", "apiKey", "secret"]))
def test_wherever_a_secret_stands_it_is_hidden(old: dict[str, Any], new: dict[str, Any], key: str) -> None:
    for values in (old, new):
        values["below"] = {"list": [{key: SECRET, **values}]}
    new["below"]["list"][0][key] = SECRET[::-1]
    lines = "\n".join(diff_values(old, new) + diff_values({}, new) + diff_values(old, {}))
    assert SECRET not in lines
    assert SECRET[::-1] not in lines
