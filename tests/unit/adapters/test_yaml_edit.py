"""The surgical edit of YAML: every case is a text, the pins, and the text that must come out."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from releaser.adapters.yaml_edit import set_scalars
from releaser.adapters.yaml_read import YamlError, read
from releaser.adapters.yaml_scalar import write_scalar

DIGEST = ("image", "digest")
NEW = "sha256:bb"

CASES: dict[str, tuple[str, dict[tuple[str, ...], str], str]] = {
    "plain, with comments and odd spaces": (
        "# head\nimage:   # the image\n  repository:   app\n  digest:  sha256:aa   # pinned\nreplicas: 2\n",
        {DIGEST: NEW},
        "# head\nimage:   # the image\n  repository:   app\n  digest:  sha256:bb   # pinned\nreplicas: 2\n",
    ),
    "single quotes stay": (
        "image: {digest: 'sha256:aa'}\n",
        {DIGEST: NEW},
        "image: {digest: 'sha256:bb'}\n",
    ),
    "double quotes stay": (
        'image:\n  digest: "sha256:aa"\n',
        {DIGEST: NEW},
        'image:\n  digest: "sha256:bb"\n',
    ),
    "windows line breaks": (
        "image:\r\n  repository: app\r\nother: 1\r\n",
        {DIGEST: NEW},
        "image:\r\n  repository: app\r\n  digest: sha256:bb\r\nother: 1\r\n",
    ),
    "no line break at the end": (
        "image:\n  digest: sha256:aa",
        {DIGEST: NEW},
        "image:\n  digest: sha256:bb",
    ),
    "new key after a last line without line break": (
        "image:\n    repository: app",
        {DIGEST: NEW},
        "image:\n    repository: app\n    digest: sha256:bb",
    ),
    "byte order mark": (
        "\ufeffimage:\n  digest: a\n",
        {DIGEST: NEW},
        "\ufeffimage:\n  digest: sha256:bb\n",
    ),
    "empty text": ("", {DIGEST: NEW}, "image:\n  digest: sha256:bb\n"),
    "only comments": ("# nothing yet\n", {DIGEST: NEW}, "# nothing yet\nimage:\n  digest: sha256:bb\n"),
    "only comments, no line break": ("# nothing yet", {("a",): "b"}, "# nothing yet\na: b"),
    "document markers": ("---\na: b\n...\n", {("c",): "d"}, "---\na: b\nc: d\n...\n"),
    "empty document with markers": ("---\n...\n", {("c",): "d"}, "---\nc: d\n...\n"),
    "missing mapping at the top": (
        "replicas: 2\n# end\n",
        {DIGEST: NEW},
        "replicas: 2\nimage:\n  digest: sha256:bb\n# end\n",
    ),
    "new key before the comment of the next": (
        "image:\n  repository: app\n\n# replicas\nreplicas: 2\n",
        {DIGEST: NEW},
        "image:\n  repository: app\n  digest: sha256:bb\n\n# replicas\nreplicas: 2\n",
    ),
    "flow mapping": (
        "image: {repository: app} # c\n",
        {DIGEST: NEW},
        "image: {repository: app, digest: sha256:bb} # c\n",
    ),
    "flow mapping with a last comma": (
        "image: {repository: app,}\n",
        {DIGEST: NEW},
        "image: {repository: app, digest: sha256:bb,}\n",
    ),
    "empty flow mapping": ("image: {}\n", {DIGEST: NEW}, "image: {digest: sha256:bb}\n"),
    "json stays json": (
        '{"image": {"repository": "app"}}',
        {DIGEST: NEW},
        '{"image": {"repository": "app", "digest": "sha256:bb"}}',
    ),
    "flow mapping over lines": (
        "image: {\n  repository: app # c\n}\n",
        {DIGEST: NEW},
        "image: {\n  repository: app, digest: sha256:bb # c\n}\n",
    ),
    "missing path in flow": ("{a: b}\n", {DIGEST: NEW}, "{a: b, image: {digest: sha256:bb}}\n"),
    "empty parent becomes a mapping": (
        "image: # later\nother: 1\n",
        {DIGEST: NEW},
        "image: # later\n  digest: sha256:bb\nother: 1\n",
    ),
    "null parent becomes a mapping": (
        "image: null # later\nother: 1\n",
        {DIGEST: NEW},
        "image: # later\n  digest: sha256:bb\nother: 1\n",
    ),
    "null parent in flow": ("{image: , a: 1}\n", {DIGEST: NEW}, "{image: {digest: sha256:bb} , a: 1}\n"),
    "empty value": ("image:\n  digest: # none\n", {DIGEST: NEW}, "image:\n  digest: sha256:bb # none\n"),
    "empty value at the end": ("image:\n  digest:", {DIGEST: NEW}, "image:\n  digest: sha256:bb"),
    "null value": ("image:\n  digest: ~\n", {DIGEST: NEW}, "image:\n  digest: sha256:bb\n"),
    "an anchor nobody uses stays": (
        "image:\n  digest: &d sha256:aa\n",
        {DIGEST: NEW},
        "image:\n  digest: &d sha256:bb\n",
    ),
    "a value that is an alias": (
        "d: &d sha256:aa\nimage:\n  digest: *d\n",
        {DIGEST: NEW},
        "d: &d sha256:aa\nimage:\n  digest: sha256:bb\n",
    ),
    "a key of a merge is set beside it": (
        "base: &b\n  digest: sha256:aa\nimage:\n  <<: *b\n  tag: x\n",
        {DIGEST: NEW},
        "base: &b\n  digest: sha256:aa\nimage:\n  <<: *b\n  tag: x\n  digest: sha256:bb\n",
    ),
    "number becomes text": ("version: 1.10\n", {("version",): "1.20"}, 'version: "1.20"\n'),
    "same digits, other type": ("version: 1.10\n", {("version",): "1.10"}, 'version: "1.10"\n'),
    "literal block": (
        "image:\n  digest: |\n    sha256:aa\n    x\n\nother: 1\n",
        {DIGEST: NEW},
        "image:\n  digest: sha256:bb\n\nother: 1\n",
    ),
    "after a literal block": (
        "image:\n  note: |\n    one\n    two\n\n\nother: 1\n",
        {DIGEST: NEW},
        "image:\n  note: |\n    one\n    two\n  digest: sha256:bb\n\n\nother: 1\n",
    ),
    "after a literal block that keeps its blank lines": (
        "image:\n  note: |+\n    one\n\n\nother: 1\n",
        {DIGEST: NEW},
        "image:\n  note: |+\n    one\n\n\n  digest: sha256:bb\nother: 1\n",
    ),
    "a literal block without line break at the end is not extended": (
        "image:\n  note: |\n    one",
        {DIGEST: NEW},
        "image:\n  digest: sha256:bb\n  note: |\n    one",
    ),
    "quoted over lines": (
        'image:\n  digest: "sha256:\\\n    aa"\n  x: 1\n',
        {DIGEST: NEW},
        'image:\n  digest: "sha256:bb"\n  x: 1\n',
    ),
    "after a list": (
        "image:\n  args:\n  - a\n  - b: c\n    d: e # f\nx: 1\n",
        {DIGEST: NEW},
        "image:\n  args:\n  - a\n  - b: c\n    d: e # f\n  digest: sha256:bb\nx: 1\n",
    ),
    "quoted key": ("'image':\n  \"digest\": x\n", {DIGEST: NEW}, "'image':\n  \"digest\": sha256:bb\n"),
    "several pins": (
        "a: 1\n",
        {("image", "repository"): "app", DIGEST: NEW},
        "a: 1\nimage:\n  repository: app\n  digest: sha256:bb\n",
    ),
    "already there": ("image: {digest:   sha256:bb }", {DIGEST: NEW}, "image: {digest:   sha256:bb }"),
    "indentation of the file": (
        "a:\n    b: 1\n",
        {DIGEST: NEW},
        "a:\n    b: 1\nimage:\n    digest: sha256:bb\n",
    ),
    "non-ascii around": (
        "# ünïcode 🎉\nimage: {note: 'é🎉', digest: a} # ü\n",
        {DIGEST: NEW},
        "# ünïcode 🎉\nimage: {note: 'é🎉', digest: sha256:bb} # ü\n",
    ),
    "a version directive": ("%YAML 1.1\n---\na: x\n", {("a",): "yes"}, '%YAML 1.1\n---\na: "yes"\n'),
    "root with a tag": ("--- !!map\na: x\n", {("b",): "c"}, "--- !!map\na: x\nb: c\n"),
}


@pytest.mark.parametrize("name", CASES)
def test_edit(name: str) -> None:
    text, pins, expected = CASES[name]

    assert set_scalars(text, pins) == expected
    assert set_scalars(expected, pins) == expected


OTHERWISE = (
    "image.digest cannot be set without changing something else: "
    "look for an anchor, an alias or a merge key there"
)

REFUSED: dict[str, tuple[str, str, int | None]] = {
    "list": ("image:\n  - a\n", "image is a list, so digest cannot be set in it", 2),
    "scalar": ("image: app\n", "image is a single value, so digest cannot be set in it", 1),
    "alias": ("a: &a {x: 1}\nimage: *a\n", "image is an alias, so digest cannot be set in it", 2),
    "mapping as value": ("image:\n  digest: {a: 1}\n", "image.digest is a mapping, not a single value", 2),
    "root list": ("- a\n", "it must be a mapping of keys to values, not a list", 1),
    "anchor in use": (
        "image:\n  digest: &d a\nother: *d\n",
        OTHERWISE,
        None,
    ),
    "mapping out of a merge": (
        "base: &b\n  image: {tag: x}\n<<: *b\n",
        OTHERWISE,
        None,
    ),
    "key twice": ("a: 1\na: 2\n", 'found duplicate key "a" with value "2" (original value: "1")', 2),
    "two documents": ("a: 1\n---\nb: 1\n", "but found another document", 2),
    "broken": ("a: 1\n b: [\n", "mapping values are not allowed here", 2),
    "number as key": ("ports:\n  80: http\n", "the key ports.80 is not text: put it in quotes", None),
    "not a number": ("a: .nan\n", "a is no number that JSON knows: put it in quotes", None),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    text, message, line = REFUSED[name]

    with pytest.raises(YamlError) as caught:
        set_scalars(text, {DIGEST: NEW})

    assert (caught.value.message, caught.value.line) == (message, line)


def test_read_gives_what_json_knows() -> None:
    text = "day: 2026-01-01\nyes: on\nnumber: 0x10\nlist: [1, 1.5, null]\nalias: &a {b: c}\nagain: *a\n"

    assert read(text) == {
        "day": "2026-01-01",
        "yes": "on",
        "number": 16,
        "list": [1, 1.5, None],
        "alias": {"b": "c"},
        "again": {"b": "c"},
    }


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]\n",
        "a: !!set {b}\n",
        "a: !mine b\n",
        "a: !!binary aGk=\n",
        "\x00",
        "a: !!bool ''",
        "a: !!int ''",
        "a: !!float x",
    ],
)
def test_read_refuses_what_is_no_value(text: str) -> None:
    with pytest.raises(YamlError):
        read(text)


@pytest.mark.parametrize(
    "value",
    [
        "1.10",
        "0e12",
        "1e3",
        "null",
        "~",
        "yes",
        "No",
        "on",
        "y",
        "n",
        "TRUE",
        "0x1f",
        "0o17",
        "017",
        "1_000",
        "12:30:45",
        "2026-01-01",
        ".inf",
        ".5",
        "-",
        "-1",
        "=",
        "<<",
        "*a",
        "&a",
        "!a",
        "@a",
        "`a",
        "%a",
        "|a",
        ">a",
        "{a",
        "[a",
        "a#",
        "?a",
        ":a",
        "a:",
        "''",
        "...",
    ],
)
def test_ambiguous_text_is_quoted(value: str) -> None:
    assert write_scalar(value)[0] == '"'


@pytest.mark.parametrize(
    "value", ["sha256:00aa", "0.1.0-h0123", "app", "localhost:5001/notejam/app", "v1.2.3"]
)
def test_harmless_text_is_plain(value: str) -> None:
    assert write_scalar(value) == value


# --- anything goes in, and only the pins change ------------------------------------------------

words = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff\ufffe\uffff\x85\u2028\u2029"),
    max_size=8,
)
anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
keys = st.sampled_from(["image", "digest", "tag", "a b", "1", "null", "é", "x: y", "#", "-", "..."])
scalars = st.none() | st.booleans() | st.integers(-9, 999) | st.sampled_from([1.5, -0.25]) | words
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A text as some tool or person may have written it."""
    data = draw(st.dictionaries(keys, trees, max_size=4))
    text: str = pyyaml.safe_dump(
        data,
        default_flow_style=draw(st.sampled_from([True, False, None])),
        default_style=draw(st.sampled_from([None, None, "'", '"', "|"])),
        indent=draw(st.sampled_from([2, 3, 4])),
        width=draw(st.sampled_from([10, 80])),
        allow_unicode=True,
        explicit_start=draw(st.booleans()),
        sort_keys=False,
    )
    if draw(st.booleans()):
        text = text.rstrip("\n")
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return text


def count_same(left: str, right: str) -> int:
    """How many characters two texts begin with together."""
    return sum(
        1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False))
    )


def find_removed(before: str, after: str) -> str:
    """What of a text is gone after one splice."""
    start = count_same(before, after)
    end = count_same(before[start:][::-1], after[start:][::-1])
    return before[start : len(before) - end]


@given(text=documents(), path=st.lists(keys, min_size=1, max_size=3), value=anything)
def test_only_the_pin_changes(text: str, path: list[str], value: str) -> None:
    try:
        before = read(text)
        changed = set_scalars(text, {tuple(path): value})
    except YamlError:
        return
    expected: Any = before
    for key in path[:-1]:
        if expected.get(key) is None:
            expected[key] = {}
        expected = expected[key]
    is_new = expected.get(path[-1]) is None
    expected[path[-1]] = value
    assert read(changed) == before
    if is_new:
        assert find_removed(text, changed).strip() in ("", "null", "nul", "ull", "l", "ll", "n", "nu", "u")


@given(data=st.dictionaries(keys, trees, max_size=4), value=words, block=st.booleans())
def test_a_pin_can_be_set_in_any_mapping(data: dict[str, Any], value: str, *, block: bool) -> None:
    """No anchors, no scalars in the way: then the edit must succeed."""
    data["image"] = {"other": data.get("image")}
    text: str = pyyaml.safe_dump(data, default_flow_style=not block, allow_unicode=True)

    changed = set_scalars(text, {("image", "digest"): value})

    assert read(changed)["image"]["digest"] == value
    assert not set(text.splitlines()) - set(changed.splitlines()) or not block


@given(value=anything)
def test_written_scalars_read_back(value: str) -> None:
    for style in ("", "'", '"'):
        text = f"{write_scalar(value, style)}: {write_scalar(value, style)}\n"
        assert read(text) == {value: value}
        assert pyyaml.safe_load(text) == {value: value}


def test_nothing_is_left_of_the_parser_between_texts() -> None:
    read("%YAML 1.1\n---\na: yes\n")

    assert read("a: yes\n") == {"a": "yes"}
    assert read("") == {}
