"""People's text files, YAML and values in sentences: read in one way, refused in one sentence."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from ferkit.errors import UserError
from ferkit.settings import Settings
from ferkit.user_input import (
    LARGEST_NUMBER,
    LARGEST_TEXT,
    inert,
    read_text,
    refuse_rounded,
    shorten,
    shown,
    writing_text,
)
from ferkit.yaml_input import read_yaml


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_is_read_by_its_mark(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: Grüße 😀\n", encoding=encoding)
    assert read_text(tmp_path / "a.yaml") == "name: Grüße 😀\n"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("réglage".encode("latin-1"), r"is not UTF-8 text \(byte 0xe9 on line 1\); save it as UTF-8"),
        (b"a: 1\nb: \x80\n", "byte 0x80 on line 2"),
        ("a: 1\n".encode("utf-16-le"), "holds NUL characters"),
        (b"\xff\xfea", "is not UTF-16 text"),
        (b"\xff\xfe\0\0" + b"\xff" * 4, "is not UTF-32 text"),
        (b"#" * (LARGEST_TEXT + 1), "has over 1,048,576 bytes"),
    ],
)
def test_what_is_no_text_is_refused(data: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(data)
    with pytest.raises(UserError, match=sentence):
        read_text(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("none.yaml", "No such file"), (".", "is a folder"), ("a\0b", r"a\\x00b: no such file"), ("x" * 300, "too long")],
)
def test_a_file_that_is_not_there_is_one_sentence_with_the_cure(name: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"{sentence}.*; use another"):
        read_text(tmp_path / name, "use another")


def test_a_device_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no file"):
        read_text(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: [1, 2.5, x, true, null]", {"a": [1, 2.5, "x", True, None]}),
        ("010", "010"),
        ("1e-3", 0.001),
        ("1_000", 1000),
        ("0x1f", 31),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("yes", True),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}),
        ("=", "="),
    ],
)
def test_values_are_read_as_they_are_written(text: str, value: object) -> None:
    assert read_yaml(text, "x") == value


def merging(levels: int) -> str:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}], k{n}: 1}}" for n in range(1, levels)]
    return "\n".join(lines)


REFUSED = {
    "a: 1\na: 2": "the key 'a' is set twice; take one out (line 2, column 1)",
    "t: {a: 1, b: 2, a: 3}": "the key 'a' is set twice",
    "- {a: 1, 'a': 2}": "the key 'a' is set twice",
    "1: 2": "the key '1' is no text",
    "on: 2": "the key 'on' is no text",
    "[a]: 2": "the key of several values is no text",
    "? {a: 1}\n: 2": "the key of several values is no text",
    "!!int x": "invalid literal for int()",
    "!!bool x": "not YAML that can be read",
    "!!float x": "could not convert string to float",
    "!!timestamp x": "could not determine a constructor",
    "!!python/object:os.system x": "could not determine a constructor",
    "!!binary aGk=": "could not determine a constructor",
    "!!set {a, b}": "could not determine a constructor",
    "!!map 1": "not YAML that can be read",
    "9" * 5000: "a number of 5,000 digits",
    "-" + "9" * 5000: "a number of 5,001 digits",
    "[" * 3000 + "]" * 3000: "more than 32 levels deep",
    "{a: " * 3000 + "}" * 3000: "more than 32 levels deep",
    "- " * 3000: "more than 32 levels deep",
    "&a [*a]": "more than 32 levels deep",
    "&a {b: *a}": "more than 32 levels deep",
    "a: 1\n--- \nb: 2": "but found another document",
    "a: *b": "found undefined alias",
    "\x07": "not YAML that can be read",
    "a: [": "expected the node content",
    merging(9): "merged keys (<<) unfold to over 20,000",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text[:20]))
def test_what_cannot_be_a_value_is_refused_in_one_short_sentence(text: str) -> None:
    with pytest.raises(UserError) as refused:
        read_yaml(text, "faces.yaml")
    assert str(refused.value).startswith("faces.yaml: ")
    assert REFUSED[text] in str(refused.value)
    assert len(str(refused.value)) < 300
    assert str(refused.value).isprintable()


def test_aliases_are_bounded_and_the_sentence_is_short() -> None:
    lines = [f"a: &a [{', '.join(['x'] * 9)}]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in ("ab", "bc", "cd", "de", "ef", "fg", "gh")]
    began = time.process_time()
    with pytest.raises(UserError, match="unfolds to over 20,000 values by its aliases") as refused:
        read_yaml("\n".join(lines), "aliases.yaml")
    assert len(str(refused.value)) < 200
    assert time.process_time() - began < 5  # was minutes


def test_values_are_plain_copies_that_nobody_shares() -> None:
    read = read_yaml("a: &a [1]\nb: *a\n", "x")
    assert read["a"] is not read["b"]
    assert "&" not in yaml.safe_dump(read)


class Some(Settings):
    section = "some"
    seed: int = 0
    name: str = ""
    several: tuple[object, ...] = ()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"seed": 2**53 + 1}, "some.seed: whole numbers over 2"),
        ({"seed": -(2**60)}, "some.seed: whole numbers over 2"),
        ({"seed": 10**400}, "received a number of 400 digits"),
        ({"several": [1, {"a": 2**64}]}, "some.several[1].a: whole numbers over 2"),
        ({"name": "a\udce9"}, "some.name: holds what is no text in UTF-8 ('\\udce9', character 2)"),
        ({"name": "a\0"}, "some.name: holds what is no text"),
        ({"seed": list(range(1000))}, "some.seed: Input should be a valid integer (received [0, 1, 2, 3, ...])"),
        ({"seed": "x" * 10**6}, "unable to parse string as an integer (received 'xxx"),
        ({"x" * 10**4: 1}, "no such parameter"),
    ],
)
def test_a_section_refuses_what_would_arrive_as_something_else_shortly(values: dict, sentence: str) -> None:
    with pytest.raises(UserError) as refused:
        Some.parse(values)
    assert sentence in str(refused.value)
    assert len(str(refused.value)) < 400


def test_the_largest_seed_that_is_not_rounded_is_taken() -> None:
    assert Some.parse({"seed": LARGEST_NUMBER}).seed == float(LARGEST_NUMBER)
    refuse_rounded({"a": [True, 1.5, None, "x", LARGEST_NUMBER]}, "")


@pytest.mark.parametrize(
    "value",
    ["x" * 10**6, ["y" * 999] * 999, {n: n for n in range(999)}, 10**5000, [[[[[[1]]]]]]],
    ids=lambda value: type(value).__name__,
)
def test_a_value_is_shown_shortly_whatever_it_is(value: object) -> None:
    assert 0 < len(shorten(value)) <= 200


def test_what_is_not_ours_is_shown_on_one_line() -> None:
    assert shown("a\nb\x1b[31m\u202e") == "a\\nb\\x1b[31m\\u202e"
    assert shown("caf\udce9") == "caf\\xe9"


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_what_a_spreadsheet_would_run_is_inert(cell: str) -> None:
    assert inert(cell) == f"./{cell}"
    assert inert("faces.png") == "faces.png"
    assert inert("") == ""


def test_a_text_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with writing_text(path, "") as file:
        file.write("one\n")
    with pytest.raises(ZeroDivisionError), writing_text(path, "") as file:
        file.write("two\n" + str(1 / 0))
    assert path.read_text() == "one\n"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UserError, match=r"cannot be written \(No such file or directory\); use another"):
        writing_text(tmp_path / "none" / "a.csv", "use another").__enter__()
