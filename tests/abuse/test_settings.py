"""Settings that people write, of all kinds of wrong: each is taken as it is or refused in one sentence."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
import yaml

from ferkit.addresses import split_address, without_secrets
from ferkit.data.source import find_source
from ferkit.errors import UserError
from ferkit.user_input import LARGEST_NUMBER
from ferkit.yaml_input import read_yaml
from pipeline.kubeflow import compile_pipeline, read_run_config
from pipeline.layers import read_parameters
from pipeline.parameters import SECTIONS, Parameters, describe
from pipeline.task_settings import Images
from pipeline.verbs.compile import check_server
from pipeline.verbs.options import _tracking_address
from tests.abuse.sentences import assert_one_sentence

pytestmark = pytest.mark.abuse

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.yaml"))
DEFAULTS = {name: field.get_default(call_default_factory=True) for name, field in describe()}
NAMES = list(DEFAULTS)
CLUSTER = [
    "gpu.count",
    "gpu",
    "gpu.type",
    "steps.train.memory",
    "steps.train.cpu",
    "steps",
    "scratch",
    "shared_memory",
    "state",
    "node_selector",
    "tolerations",
    "secrets",
    "labels",
    "retry.factor",
]

VALUES = [
    *(
        "",
        "x",
        "1",
        "0",
        "-1",
        "1.5",
        "1e-3",
        "1e400",
        "-.inf",
        ".nan",
        "true",
        "no",
        "~",
        "null",
        "[]",
        "{}",
        "[1, 2]",
        "{a: 1}",
    ),
    *("010", "0x1f", "1_000", "12:30", "2020-01-01", "2020-99-99", "!!int x", "!!float x", "!!bool x", "!!timestamp x"),
    *(
        "!!binary aGk=",
        "!!set {a}",
        "!!python/object:os.system x",
        "!foo 1",
        "&a [*a]",
        "*a",
        "{<<: {a: 1}}",
        "{a: 1, a: 2}",
    ),
    *(
        "{1: 2}",
        "{on: 1}",
        "{[a]: 1}",
        "? a",
        "'",
        '"',
        "[",
        "{",
        "a: b: c",
        "- - -",
        "%",
        "@",
        "`",
        "|",
        ">",
        "a\tb",
        "\x00",
        "\x1b[31m",
    ),
    *(
        "9" * 16,
        "9" * 17,
        "9" * 400,
        "9" * 5000,
        "-" + "9" * 20,
        str(2**53),
        str(2**53 + 1),
        "[" * 40,
        "[" * 2000,
        "{a: " * 500,
    ),
    *("lenet", "multi_kernel", "lenett", "[{architecture: lenet}]", "[{architecture: lenet, seed: 1, seed: 2}]"),
    *("[{architecture: [1]}]", "[{architecture: {a: 1}}]", "[{architecture: null}]", "[1]", "[[]]", "[null]", "[{}]"),
    *(
        "[{architecture: lenet, epochs: 1e9}]",
        "[{architecture: lenet, seed: 9007199254740993}]",
        "\ud800",
        "caf\udce9",
        "é",
        "😀",
    ),
    *("x" * 5000, "a b", "$(id)", "../x", "s3://", "http://[x/", "sample", "sample://?faces=1", "None", "[null, 1]"),
]
ADDRESSES = [
    *(
        "http://host",
        "https://ann:geheim@host:8443/x?key=geheim#f",
        "http://[your-server]",
        "http://[::1]:5000",
        "http://[::1",
        "http://",
    ),
    *(
        "http://host:99999",
        "http://host:-1",
        "http://host:0",
        "http://host:port",
        "http:///x",
        "http://<server>",
        "http://a b/",
        "https://ho\nst",
    ),
    *(
        "sqlite:///mlflow.db",
        "sqlite:///mlflow.db?timeout=60",
        "sqlite:////x/y.db",
        "sqlite://",
        "sqlite:///",
        "host:5000",
        "mlflow",
        "",
    ),
    *(
        "s3://b/k#1?.csv",
        "s3://b/sets.zip#a.csv",
        "s3:///k",
        "s3://",
        "ftp://x/y",
        "://",
        "http:/x",
        "file:///x.csv",
        "file://",
        "[",
        "]",
    ),
    *(
        "http://ho\udcffst/",
        "http://host/\x00",
        "http://é.example/ü.csv",
        "http://" + "a" * 3000,
        "http://host:" + "9" * 400,
        " ",
        "\t",
    ),
]


def spoil(data: bytes, dice: random.Random) -> bytes:
    """Bytes of a config file with some of them changed, or all of them in another encoding."""
    way = dice.randrange(6)
    if way == 0:
        return data.decode().encode(dice.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "cp037"]))
    changed = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(changed) + 1)
        piece = dice.choice(
            [
                b"\xe9",
                b"\x00",
                b"\t",
                b": ",
                b"- ",
                b"[",
                b"{",
                b"}",
                b"&a ",
                b"*a",
                b"<<: *a\n",
                b"'",
                b"\n",
                b"#",
                b"!!int ",
            ]
        )
        changed[at : at + dice.randint(0, 3)] = piece * (1 if dice.random() < 0.9 else dice.choice([40, 2000]))
    if way == 1:
        changed += changed[: dice.randrange(len(changed) + 1)]
    if way == 2:
        line = dice.choice(bytes(changed).splitlines() or [b"a: 1"])
        changed += b"\n" + line + b"\n"
    if way == 3:
        changed += f"\n{dice.choice(NAMES).partition('.')[0]}: {dice.choice(VALUES)}\n".encode(
            "utf-8", dice.choice(["surrogatepass", "replace"])
        )
    return bytes(changed)


def bomb(dice: random.Random) -> bytes:
    """Aliases, or merges, of aliases."""
    wide, levels = dice.randint(2, 12), dice.randint(2, 12)
    merges = dice.random() < 0.5
    lines = ["a0: &a0 " + ("{x: 1}" if merges else "[x, x]")]
    for n in range(1, levels):
        inner = ", ".join([f"*a{n - 1}"] * wide)
        lines.append(f"a{n}: &a{n} " + (f"{{<<: [{inner}], k{n}: 1}}" if merges else f"[{inner}]"))
    return ("\n".join(lines) + f"\ntrain: {{epochs: *a{levels - 1}}}\n").encode()


def by_assignment(dice: random.Random, folder: Path) -> Parameters:
    given = []
    for _ in range(dice.randint(1, 3)):
        name = dice.choice(NAMES if dice.random() < 0.9 else [*SECTIONS, "candidate", ""])
        value = json.dumps(DEFAULTS.get(name)) if dice.random() < 0.7 else dice.choice(VALUES)
        given.append(f"{name}={value}")
    if dice.random() < 0.05:
        given.append(dice.choice(VALUES))
    return read_parameters("faces.csv" if dice.random() < 0.9 else dice.choice([None, *ADDRESSES]), None, given)


def by_cluster(dice: random.Random, folder: Path) -> Parameters:
    given = [f"cluster.{dice.choice(CLUSTER)}={dice.choice(VALUES)}" for _ in range(dice.randint(1, 2))]
    asked = read_run_config("s3://b/faces.csv", None, given)
    compile_pipeline(asked, Images("x:v1.0.0", "x:v1.0.0-gpu"), "http://mlflow:5000", folder / "pipeline.yaml")
    return asked.parameters


def by_config(dice: random.Random, folder: Path) -> Parameters:
    path = folder / "config.yaml"
    path.write_bytes(bomb(dice) if dice.random() < 0.1 else spoil(dice.choice(CONFIGS).read_bytes(), dice))
    asked = read_run_config("faces.csv", path)
    return asked.parameters


def with_one_more(address: str) -> Iterator[str]:
    """The address with each of the characters that parsing turns on, at each place."""
    for at in range(len(address) + 1):
        for more in ("[", "]", ":", "@", "/", "?", "#", "%", " ", "\\", "é", "\0"):
            yield address[:at] + more + address[at:]


def parse_address(address: str) -> Iterator[Callable[[], object]]:
    """What addresses that people write are given to."""
    context, parameter = click.Context(click.Command("x")), click.Option(["--x"])
    yield lambda: split_address(address)
    yield lambda: check_server(context, parameter, address)
    yield lambda: _tracking_address(context, parameter, address)
    yield lambda: Parameters.parse({"csv": address})
    yield lambda: find_source(address)


def by_address(dice: random.Random, folder: Path) -> None:
    address = dice.choice(ADDRESSES)
    if dice.random() < 0.5:
        address = dice.choice(list(with_one_more(address)))
    dice.choice(list(parse_address(address)))()


WAYS = {
    "assignments": by_assignment,
    "settings of the cluster": by_cluster,
    "config files": by_config,
    "addresses": by_address,
}
SHARES = {"assignments": 2500, "settings of the cluster": 500, "config files": 1500, "addresses": 700}


@pytest.mark.parametrize("kind", WAYS)
@pytest.mark.timeout(900)
def test_a_setting_is_taken_as_it_is_or_refused_in_one_sentence(kind: str, attempts, tmp_path: Path) -> None:
    tried = attempts(kind, SHARES[kind])
    for number, dice in tried:
        try:
            taken = WAYS[kind](dice, tmp_path)
        except (UserError, click.BadParameter) as refusal:
            said = refusal.message if isinstance(refusal, click.BadParameter) else refusal
            assert_one_sentence(str(said).replace(str(tmp_path), ""), number)
            tried.ended("refused")
            continue
        except Exception as error:
            raise AssertionError(f"{kind} {number}: {type(error).__name__}: {error}"[:2000]) from error
        if taken is not None:
            dump = taken.dump()
            assert Parameters.parse(json.loads(json.dumps(dump))) == taken, number
            assert all(abs(value) <= LARGEST_NUMBER for value in whole_numbers(dump)), number
            json.dumps(dump, ensure_ascii=False).encode()
        tried.ended("taken")


SECRET = "https://ann:geheim@host:8443/x?key=geheim#f"


def test_no_sentence_about_an_address_shows_what_is_secret_in_it() -> None:
    """Whichever character is one too many: the user, the password and the query are in none.

    But a `/` in the user or behind it: `https://a/nn:geheim@host` is an address, of the server `a`.
    """
    for address in (SECRET, *with_one_more(SECRET), SECRET.upper(), SECRET.replace("https", "ftp")):
        if re.match("https://(a/nn|an/n|ann/):", address):
            continue
        for way in parse_address(address):
            try:
                way()
                continue
            except UserError as refusal:
                said = str(refusal).lower()
            except click.BadParameter as refusal:
                said = refusal.message.lower()
            assert "geheim" not in said, address
            assert "ann:" not in said, address
        seen = without_secrets(address).lower()
        assert "geheim" not in seen, address
        assert "ann:" not in seen, address


def whole_numbers(value: object) -> list[int]:
    """All whole numbers in a nested value."""
    if isinstance(value, dict):
        return [number for inner in value.values() for number in whole_numbers(inner)]
    if isinstance(value, list):
        return [number for inner in value for number in whole_numbers(inner)]
    return [value] if isinstance(value, int) else []


@pytest.mark.timeout(300)
def test_yaml_that_is_taken_is_what_pyyaml_reads_but_for_what_surprises(attempts) -> None:
    """Where both take a document and it holds no number or date of YAML 1.1, they read the same."""
    tried = attempts("YAML documents", 600)
    for number, dice in tried:
        text = dice.choice(CONFIGS).read_text()
        lines = text.splitlines()
        dice.shuffle(lines)
        text = "\n".join(lines[: dice.randint(1, len(lines))])
        try:
            taken = read_yaml(text, "x")
        except UserError:
            tried.ended("refused")
            continue
        expected = yaml.safe_load(text)
        assert json.dumps(taken, default=str) == json.dumps(expected, default=str), number
        tried.ended("taken")
