"""Requests to a served model, wrong in all ways: an answer, or 400 and one sentence; it goes on, in bounded memory."""

from __future__ import annotations

import base64
import io
import json
import random
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import requests
from PIL import Image

from ferkit.data import EMOTIONS
from tests.abuse.sentences import assert_one_sentence
from tests.abuse.test_pictures import MORE_MEMORY, draw_good, draw_picture, spoil
from tests.ferkit.serving.serving import Served, serving

if TYPE_CHECKING:
    from tests.conftest import LoggedModel

pytestmark = pytest.mark.abuse

AT_ONCE = 4


@pytest.fixture(scope="module")
def served(logged_model: LoggedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(logged_model, tmp_path_factory.mktemp("serving") / "server.log") as found:
        yield found


def peak_memory(served: Served) -> float:
    """The most that the server's processes have had in memory so far, in MB (Linux keeps it as VmHWM)."""
    server = psutil.Process(served.process_id)
    states = [Path(f"/proc/{each.pid}/status").read_text() for each in (server, *server.children(recursive=True))]
    return sum(int(found[1]) for state in states if (found := re.search(r"VmHWM:\s*(\d+) kB", state))) / 1000


def draw_large(dice: random.Random) -> bytes:
    """A small file of many pixels."""
    mode, side, kind = dice.choice(
        [("RGBA", 7000, "PNG"), ("RGB", 3990, "PNG"), ("L", 6900, "PNG"), ("RGB", 6900, "JPEG"), ("RGB", 1990, "WEBP")]
    )
    file = io.BytesIO()
    Image.linear_gradient("L").resize((side, side)).convert(mode).save(file, kind)
    return file.getvalue()


def as_text(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


def draw_cell(dice: random.Random) -> Any:
    """What may stand where a face should."""
    face = [[dice.randrange(256) for _ in range(48)] for _ in range(48)]
    return dice.choice(
        [
            lambda: face,
            *[lambda: as_text(draw_good())] * 4,
            lambda: as_text(spoil(draw_picture(dice), dice)),
            lambda: as_text(draw_picture(dice))[: dice.randrange(200)],
            lambda: [[level / 255 for level in row] for row in face],
            lambda: [[level * 999 for level in row] for row in face],
            lambda: [[9] * 48] * 48,
            lambda: face[:9],
            lambda: [*face[1:], [1, 2]],
            lambda: [[None] * 48] * 48,
            lambda: [["1"] * 48] * 48,
            lambda: [[[1, 2, 3]] * 48] * 48,
            lambda: dice.choice([None, True, 0, 1.5, "", "x", "é", "\x00", [], {}, [[]], {"a": 1}, 10**30, "9" * 9999]),
        ]
    )()


def draw_body(dice: random.Random) -> tuple[bytes, str]:
    """A request's body and its content type."""
    cells = [draw_cell(dice) for _ in range(dice.choice([1, 1, 1, 2, 5]))]
    column = dice.choice(["face"] * 8 + ["Face", "image", ""])
    form = dice.choice(
        [
            {"dataframe_split": {"columns": [column], "data": [[cell] for cell in cells]}},
            {"dataframe_split": {"columns": [column], "data": [[cell] for cell in cells]}},
            {"dataframe_records": [{column: cell} for cell in cells]},
            {"inputs": [{column: cell} for cell in cells]},
            {"instances": [{column: cell} for cell in cells]},
        ]
    )
    body = json.dumps(form).encode()
    if dice.random() < 0.15:  # as JSON it is broken
        at = dice.randrange(len(body))
        body = body[:at] + dice.choice([b"", b"\xff", b"}", b"]", b'"', b"\x00"]) + body[at + dice.randrange(3) :]
    kind = "application/json" if dice.random() < 0.92 else dice.choice(["text/csv", "text/plain", "", "image/png"])
    return body, kind


@pytest.mark.timeout(1200)
def test_a_request_is_answered_or_refused_and_the_server_goes_on(attempts, served: Served) -> None:
    tried = attempts("requests", 300)

    def with_faces(count: int) -> bytes:
        return json.dumps({"dataframe_split": {"columns": ["face"], "data": [[as_text(draw_good())]] * count}}).encode()

    usual = with_faces(1)

    def ask(body: bytes, kind: str = "application/json") -> requests.Response:
        return requests.post(served.address, data=body, headers={"Content-Type": kind}, timeout=120)

    answer = ask(usual).json()
    for count in (2, 5, 2, 5):  # the network is compiled anew for every number of faces, up to the next power of two
        assert ask(with_faces(count)).ok
    before = peak_memory(served)

    def attempt(numbered: tuple[int, random.Random]) -> tuple[int, requests.Response, str]:
        number, dice = numbered
        body, kind = draw_body(dice)
        if dice.random() < 0.05:
            body, kind = (
                usual.replace(as_text(draw_good()).encode(), as_text(draw_large(dice)).encode()),
                "application/json",
            )
        return number, ask(body, kind), kind

    with ThreadPoolExecutor(AT_ONCE) as clients:
        for number, response, kind in clients.map(attempt, tried):
            if response.status_code == 200:
                for row in response.json()["predictions"]:
                    assert row["emotion"] in EMOTIONS, number
                    assert abs(sum(row[emotion] for emotion in EMOTIONS) - 1) < 1e-3, number
            else:
                assert response.status_code in (400, 415), (number, response.status_code, response.text[:500])
                if kind == "application/json" and "face " in response.json().get("message", ""):
                    # MLflow puts what was received before it, over several lines.
                    assert_one_sentence(response.json()["message"].rpartition("Error: ")[2], number)
            tried.ended(f"with status {response.status_code}")
    assert ask(usual).json() == answer
    more = peak_memory(served) - before
    assert more < MORE_MEMORY, f"{before:.0f} MB, then {more:.0f} MB more"
