"""What the digests of the code see: what a step, or a candidate's weights, depend on, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ferkit import code_version
from ferkit.code_version import check_step_version, step_version, weights_version
from ferkit.errors import UserError

ROOT = Path(code_version.__file__).resolve().parent.parent
PRINT = """
from ferkit.code_version import code_version, step_version, weights_version
print(code_version(), weights_version(), *(step_version(s) for s in ("ingest", "balance", "train", "evaluate")))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources, to be edited."""
    folder = tmp_path_factory.mktemp("copy")
    for package in code_version.PACKAGES:
        for path in [*(ROOT / package).rglob("*.py"), *(ROOT / package).rglob("*.jinja")]:
            target = folder / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return folder


def changed_by(copy: Path, file: str) -> set[str]:
    """Whose digests a further line in a file changes."""
    names = ("code", "weights", "ingest", "balance", "train", "evaluate")

    def digests() -> list[str]:
        return subprocess.check_output([sys.executable, "-c", PRINT], cwd=copy, text=True).split()

    before = digests()
    content = (copy / file).read_text()
    (copy / file).write_text(content + "\n# another line\n")
    after = digests()
    (copy / file).write_text(content)
    return {name for name, one, other in zip(names, before, after, strict=True) if one != other}


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        # What reads and writes faces is under every step.
        ("ferkit/data/dataset.py", {"code", "weights", "ingest", "balance", "train", "evaluate"}),
        ("components/ingest/split.py", {"code", "weights", "ingest"}),
        ("components/balance/techniques.py", {"code", "weights", "balance"}),
        ("ferkit/networks/random_affine.py", {"code", "weights", "train"}),
        # Found by its name alone, as architectures are.
        ("ferkit/networks/architectures/lenet.py", {"code", "weights", "train"}),
        # Plots, the report and the registry make no training another one.
        ("components/train/pictures.py", {"code", "train"}),
        ("components/evaluate/plots.py", {"code", "evaluate"}),
        ("ferkit/report/page.py", {"code", "evaluate"}),
        ("ferkit/report/templates/parts.html.jinja", {"code", "evaluate"}),
        ("ferkit/registry/ledger.py", {"code"}),
        ("ferkit/tracking/tree.py", {"code", "train", "evaluate"}),
    ],
)
def test_a_line_of_code_changes_the_digests_of_what_depends_on_it(copy: Path, file: str, changed: set[str]):
    assert changed_by(copy, file) == changed


def test_a_step_that_is_other_code_than_the_pipeline_was_made_from_ends_with_a_sentence():
    check_step_version("train", step_version("train"))
    check_step_version("train", "")
    with pytest.raises(UserError, match=r"other code of train \(0123456789abcdef\) than is here \([0-9a-f]{16}"):
        check_step_version("train", "0123456789abcdef")


def test_digests_are_short_and_differ():
    found = [step_version("train"), step_version("evaluate"), weights_version(), code_version.code_version()]
    assert len(set(found)) == 4
    assert all(len(digest) == 16 for digest in found)
