"""Steps as forks: what they print and how they end is what kfp would have seen of a process of its own."""

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline import forked_steps
from pipeline.forked_steps import ForkServer, can_fork
from pipeline.parameters import Parameters


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    """With the imports of a run."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KERAS_BACKEND", "jax")  # a setting of the person's, which a run need not follow
        patched.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
        patched.setenv("OPENBLAS_NUM_THREADS", "1")  # it has threads from its import on, and lets itself be forked
        started = ForkServer()
    yield started
    started._stop()


def command_for(body: str, folder: Path, value: str = "") -> list[str]:
    """As kfp makes it of a component `step(value: str)`."""
    source = "\n".join(
        ["from kfp.dsl import *", "", "def step(value: str):", *(f"    {line}" for line in body.split("\n"))]
    )
    told = {"inputs": {"parameterValues": {"value": value}}, "outputs": {"outputFile": str(folder / "output.json")}}
    arguments = ["--executor_input", json.dumps(told), "--function_to_execute", "step"]
    return ["sh", "-ec", "what kfp runs", source, *arguments]


def test_output_and_status(server: ForkServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    body = (
        "import os, sys\nprint('by Python', value)\nprint('to stderr', file=sys.stderr)\nos.system('echo by a child')"
    )
    assert server.run(command_for(body, tmp_path, "é")) == 0
    printed = capfd.readouterr().out.splitlines()
    assert {"by Python é", "to stderr", "by a child"} <= set(printed)
    assert any("KFP Executor" in line for line in printed), "kfp's own lines"


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("raise SystemExit(3)", 3),
        ("raise SystemExit", 0),
        ("raise SystemExit('a sentence')", 1),
        ("import sys; sys.stdout.close()", 0),
        ("raise ValueError('of its own')", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9),
    ],
)
def test_how_it_ends(server: ForkServer, tmp_path: Path, capfd: pytest.CaptureFixture[str], end: str, status: int):
    assert server.run(command_for(end, tmp_path)) == status
    printed = capfd.readouterr().out
    assert ("ValueError: of its own" in printed) is ("ValueError" in end)
    assert printed.count("of its own") == 2 * printed.count("ValueError: of"), (
        "the traceback shows the component's line"
    )
    assert ("a sentence" in printed) is ("a sentence" in end)


def test_what_is_left_to_do_at_its_end_is_done(server: ForkServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    body = (
        "import atexit, threading, time\n"
        "atexit.register(print, 'at exit')\n"
        "threading.Thread(target=lambda: (time.sleep(0.3), print('by a thread'))).start()"
    )
    assert server.run(command_for(body, tmp_path)) == 0
    assert {"at exit", "by a thread"} <= set(capfd.readouterr().out.splitlines())


def test_nothing_runs_in_what_is_forked(server: ForkServer, tmp_path: Path):
    """A lock that a thread holds at the fork stays locked in it: TensorFlow's and gRPC's threads must not be there."""
    assert server.run(command_for("pass", tmp_path)) == 0
    threads = [task.read_text().strip() for task in Path(f"/proc/{server._process.pid}/task").glob("*/comm")]
    # Arrow's allocator, made for it, has one, too.
    assert len([name for name in threads if not name.startswith("jemalloc")]) == 1, threads


def test_a_step_starts_from_the_imports_and_from_nothing_else(
    server: ForkServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    """What one step does is gone for the next."""
    body = (
        "import json, numpy, os, sys, random\n"
        "found = {name: name in sys.modules for name in ('keras', 'tensorflow', 'mlflow', 'antigravity')}\n"
        "name = open('/proc/self/comm').read().strip()\n"
        "drawn = [random.random(), numpy.random.random()]\n"
        "print(json.dumps(['found', found, os.environ.get('OF_THE_STEP'), name, *drawn]))\n"
        "sys.modules['antigravity'] = sys"
    )
    assert server.run(command_for(body, tmp_path), {"OF_THE_STEP": "1"}) == 0
    assert server.run(command_for(body, tmp_path)) == 0
    first, second = (json.loads(line) for line in capfd.readouterr().out.splitlines() if line.startswith('["found"'))
    expected = {"keras": True, "tensorflow": True, "mlflow": True, "antigravity": False}
    assert (first[1], second[1]) == (expected, expected)
    assert (first[2], second[2]) == ("1", None)
    assert first[3] == second[3] == "step", "what `top` shows"
    assert first[4] != second[4]
    assert first[5] != second[5]


def test_variables_are_those_of_the_moment(
    server: ForkServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    """The run's folder for temporary files is made after the server has started."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    body = "import os, tempfile; print('told', tempfile.gettempdir(), os.environ.get('OPENBLAS_NUM_THREADS'))"
    assert server.run(command_for(body, tmp_path)) == 0
    assert f"told {tmp_path} None" in capfd.readouterr().out.splitlines()


def test_a_network_is_built_and_trained_in_a_fork(server: ForkServer, tmp_path: Path):
    body = (
        "import keras, numpy\n"
        "network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])\n"
        "network.compile('sgd', 'mse')\n"
        "network.fit(numpy.ones((8, 4)), numpy.ones((8, 3)), verbose=0)\n"
        "assert keras.backend.backend() == 'tensorflow'"
    )
    assert [server.run(command_for(body, tmp_path)) for _ in range(2)] == [0, 0]


def test_openblas_threads_survive_a_fork(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """As many as it wants, which the other tests' server does not have."""
    monkeypatch.setattr(forked_steps, "IMPORTED", ("kfp.dsl.executor_main", "numpy", "scipy.linalg"))
    server = ForkServer()
    body = (
        "import numpy, scipy.linalg\n"
        "square = numpy.random.default_rng(0).random((600, 600))\n"
        "assert numpy.allclose(scipy.linalg.inv(square) @ square, numpy.eye(600), atol=1e-6)"
    )
    assert [server.run(command_for(body, tmp_path)) for _ in range(3)] == [0, 0, 0]
    server._stop()


def test_what_cannot_be_imported_is_left_to_the_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    (tmp_path / "broken.py").write_text("raise ValueError('no such backend')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(forked_steps, "IMPORTED", ("broken", "not_there"))
    server = ForkServer()
    assert server.run(command_for("print('needs neither')", tmp_path)) == 0
    assert server.run(command_for("import broken", tmp_path)) == 1
    assert "ValueError: no such backend" in capfd.readouterr().out
    server._stop()


def test_steps_side_by_side_each_get_their_own_status(server: ForkServer, tmp_path: Path):
    body = "import time; time.sleep(0.2); raise SystemExit(int(value))"
    with ThreadPoolExecutor(8) as threads:
        ended = list(threads.map(lambda n: server.run(command_for(body, tmp_path, str(n))), range(8)))
    assert ended == list(range(8))


def test_a_task_longer_than_what_a_socket_holds(server: ForkServer, tmp_path: Path):
    body = "assert len(value) == 2_000_000"
    assert server.run(command_for(body, tmp_path, "x" * 2_000_000)) == 0


def test_a_server_that_is_killed_is_started_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(forked_steps, "IMPORTED", ())
    server = ForkServer()
    first = server._process
    first.kill()
    first.wait()
    assert server.run(command_for("print('by another')", tmp_path)) == 0
    assert "by another" in capfd.readouterr().out
    assert server._process.pid != first.pid
    server._connection.close()
    assert server._process.wait() == 0, "it ends when nobody is there to ask it for steps"


def test_where_steps_are_forked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(forked_steps, "GPU_DRIVERS", (tmp_path / "gpu",))
    assert can_fork(Parameters().dump())
    for jax in (
        {"train": {"backend": "jax"}},
        {"candidates": [{"architecture": "lenet"}, {"architecture": "lenet", "backend": "jax"}]},
        {"search": {"space": {"architecture": "lenet", "backend": ["tensorflow", "jax"]}}},
    ):
        assert not can_fork(Parameters.parse(jax).dump()), jax
    (tmp_path / "gpu").touch()
    assert not can_fork(Parameters().dump())
    (tmp_path / "gpu").unlink()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not can_fork(Parameters().dump())
