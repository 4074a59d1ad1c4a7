"""From CSV to data set folder: what is kept and what is said; whole, right, and the same every time."""

from __future__ import annotations

import csv
import gzip
import hashlib
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.ingest import ingest
from components.ingest.ingest import ingest_csv
from components.ingest.parameters import Ingest
from ferkit.data import EMOTIONS, SPLITS, USAGE, Profile, read_profile, read_split, split_path, splits
from ferkit.data.sample import planted
from ferkit.data.source import find_source
from ferkit.data.source.files import LocalFile
from ferkit.errors import UserError


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def bytes_of(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def balance_sheet(profile: Profile) -> int:
    """Rows kept, rejected and de-duplicated."""
    kept = sum(profile.splits[split]["rows"] for split in SPLITS)
    return kept + sum(profile.rejected.values()) + sum(profile.duplicates["dropped"].values())


@pytest.fixture(scope="module")
def ingested(sample_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ingested") / "faces"
    ingest_csv(str(sample_csv), folder)
    return folder


def test_every_face_is_the_csvs_own(sample_csv: Path, ingested: Path):
    with sample_csv.open() as file:
        lines = list(csv.reader(file))[1:]
    usage = dict(zip(SPLITS, ("Training", "PublicTest", "PrivateTest"), strict=True))
    for split in SPLITS:
        faces = read_split(ingested, split)
        assert (np.diff(faces.row) > 0).all()
        assert set(faces.technique) == {"original"}
        for row, emotion, pixels in zip(faces.row, faces.emotion, faces.pixels, strict=True):
            assert [str(emotion), usage[split]] == [lines[row][0], lines[row][2]]
            assert " ".join(map(str, pixels.ravel().tolist())) == lines[row][1]


def test_every_row_is_kept_rejected_or_a_duplicate(sample_csv: Path, ingested: Path):
    profile = read_profile(ingested)
    assert not profile.is_drawn, "a CSV is a CSV, whatever drew it"
    assert balance_sheet(profile) == profile.source["rows"] == len(sample_csv.read_bytes().splitlines()) - 1
    kept = [int(row) for split in SPLITS for row in read_split(ingested, split).row]
    rejected = [int(row["row"]) for row in rows_of(ingested / "rejected.csv")]
    dropped = [int(row["row"]) for row in rows_of(ingested / "duplicates.csv") if row["dropped"]]
    assert sorted(kept + rejected + dropped) == list(range(profile.source["rows"]))


def test_all_planted_faults_are_rejected(ingested: Path):
    faults = planted(700)
    reasons = read_profile(ingested).rejected
    assert reasons["constant image"] == faults["constant image"]
    assert reasons["pixel count"] == sum(faults[name] for name in ("too few pixels", "too many pixels", "no pixels"))
    assert reasons["value outside 0..255"] == faults["over 255"] + faults["below 0"]
    assert reasons["not a number"] == faults["not a number"]
    assert reasons["unknown label"] == faults["unknown label"] + faults["label not a number"]
    assert reasons["unknown usage"] == faults["unknown usage"]


def test_in_train_marks_the_leaked_rows_of_validation_and_test(ingested: Path):
    faults = planted(700)
    assert read_split(ingested, "validation").in_train.sum() == faults["train and validation"]
    leaked = faults["train and test"] + faults["train and test, other label"]
    assert read_split(ingested, "test").in_train.sum() == leaked
    assert read_split(ingested, "train").in_train.all()


@pytest.mark.parametrize("policy", ["keep", "report"])
def test_keep_and_report_drop_nothing(policy: str, sample_csv: Path, ingested: Path, tmp_path: Path):
    profile = ingest_csv(str(sample_csv), tmp_path / "faces", Ingest.parse({"duplicates": policy}))
    dropping = read_profile(ingested)
    assert profile.duplicates["dropped"] == {}
    assert balance_sheet(profile) == profile.source["rows"]
    dropped = sum(dropping.duplicates["dropped"].values())
    assert profile.splits["train"]["rows"] == dropping.splits["train"]["rows"] + dropped > 0
    assert profile.splits["test"] == dropping.splits["test"]
    assert (tmp_path / "faces" / "duplicates.csv").exists() == (policy == "report")


def test_the_same_csv_produces_the_same_bytes_and_any_packing_the_same_digests(
    sample_csv: Path, ingested: Path, tmp_path: Path
):
    ingest_csv(str(sample_csv), tmp_path / "again")
    assert bytes_of(tmp_path / "again") == bytes_of(ingested)

    packed = tmp_path / "sample.csv.gz"
    packed.write_bytes(gzip.compress(sample_csv.read_bytes(), 1))
    archive = tmp_path / "sample.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(sample_csv, "fer2013/fer2013.csv")
    for path in (packed, archive):
        profile = ingest_csv(str(path), tmp_path / path.stem, source_version=find_source(str(path)).version())
        assert profile.digest == read_profile(ingested).digest
        assert profile.source["sha256"] == hashlib.sha256(sample_csv.read_bytes()).hexdigest()
        same = {name: digest for name, digest in bytes_of(ingested).items() if name != "profile.json"}
        assert same.items() <= bytes_of(tmp_path / path.stem).items()


@pytest.mark.parametrize("rows", [1, 7, 100_000])
def test_the_size_of_row_groups_changes_no_digest(
    rows: int, sample_csv: Path, ingested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for module in (splits, ingest):
        monkeypatch.setattr(module, "ROW_GROUP", rows)
    profile = ingest_csv(str(sample_csv), tmp_path / "faces")
    assert profile == read_profile(ingested)
    file = pq.ParquetFile(split_path(tmp_path / "faces", "train"))
    assert file.metadata.row_group(0).num_rows == min(rows, profile.splits["train"]["rows"])


@pytest.mark.parametrize("cores", [1, 3])
def test_the_number_of_cores_changes_no_byte(
    cores: int, sample_csv: Path, ingested: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ferkit.data.source.rows.usable_cores", lambda: cores)
    ingest_csv(str(sample_csv), tmp_path / "faces")
    assert bytes_of(tmp_path / "faces") == bytes_of(ingested)


@pytest.mark.parametrize(
    ("usage", "digests"),
    [
        (
            True,
            [
                "f558f3f4e5139701e167430c55ef1474",
                "244a69854a5011588d7fc819700db6fa",
                "6ea9c96f8ff49eda2a9a8cc88eb93dac",
                "ff51e8ad2dd758edcc153044288651ea",
            ],
        ),
        (
            False,
            [
                "5c5440bc6fb07a8d227ee42360ca1e3c",
                "e983319b285c02dc3845f8ea230f89dc",
                "d4db79424b23f9115e7660391572e6b4",
                "701dc8280cedbdebebaec83c7a1f910a",
            ],
        ),
    ],
)
def test_the_digests_of_a_csv_never_change(usage: bool, digests: list[str], tmp_path: Path):
    """Pinned, as machines and versions that ingest the same CSV must agree.

    Every 40th face repeats the one before, and the last 24 the first 24, all with other labels.
    """
    lines = ["emotion,pixels,Usage" if usage else "emotion,pixels"]
    for n in range(280):
        face = n - (n % 40 == 39)
        pixels = " ".join(str((face * face + 31 * face * p + 7 * p * p) % 256) for p in range(25))
        lines.append(f"{n % 7},{pixels}" + f",{('Training', 'PublicTest', 'PrivateTest')[n // 7 % 3]}" * usage)
    path = tmp_path / "faces.csv"
    path.write_text("\n".join(lines) + "\n")
    profile = ingest_csv(str(path), tmp_path / "faces")
    assert [profile.digest, *(profile.splits[split]["digest"] for split in SPLITS)] == digests


def test_the_drawn_sample_is_a_source(tmp_path: Path):
    profile = ingest_csv("sample://?faces=100&seed=1", tmp_path / "faces")
    assert profile.source["csv"] == "sample://?faces=100&seed=1"
    assert profile.is_drawn
    assert profile.side == 48


def small_csv(rows: list[str], header: str = "emotion,pixels,Usage") -> str:
    return "\n".join([header, *rows]) + "\n"


def small_rows(count: int = 40) -> list[str]:
    usages = ["Training", "Training", "PublicTest", "PrivateTest"]
    return [f"{n % 7},{n % 256} {n // 256} 3 4,{usages[n // 7 % 4]}" for n in range(1, count * 7 + 1)]


def test_a_csv_without_usage_is_split_by_seed_with_identical_images_on_one_side(tmp_path: Path):
    rows = [f"{n % 7},{n % 200} {n % 150} 7 9" for n in range(1400)]
    path = tmp_path / "train.csv"
    path.write_text(small_csv(rows, "emotion,pixels"))
    parameters = {"validation_fraction": 0.2, "test_fraction": 0.25, "duplicates": "keep", "reject_constant": False}
    profile = ingest_csv(str(path), tmp_path / "faces", Ingest.parse(parameters))
    assert balance_sheet(profile) == 1400
    assert set(profile.duplicates["across"].values()) == {0}
    assert [profile.splits[s]["in_train"] for s in ("validation", "test")] == [0, 0]
    assert 0.2 < profile.splits["test"]["rows"] / 1400 < 0.3
    other = ingest_csv(str(path), tmp_path / "other", Ingest.parse({**parameters, "split_seed": 1}))
    assert other.digest != profile.digest


@pytest.mark.parametrize(
    ("rows", "header", "sentence"),
    [
        (small_rows(), "label,pixels,Usage", "no column `emotion`"),
        (["1,1 2 3 4,Training"] * 5, "emotion,pixels,Usage", "no usable row is for validation"),
        ([row for row in small_rows() if row[0] != "1"], "emotion,pixels,Usage", "no training row for disgust"),
        (
            [*small_rows(), *["9,1 2 3 4,Training"] * 40],
            "emotion,pixels,Usage",
            "40 unknown label; the first is row 280",
        ),
        (["9,1 2 3 4,Training"], "emotion,pixels,Usage", "1 of 1 rows cannot be used"),
        (["0,1 2 3 4,Training"] + ["x"] * 20, "emotion,pixels,Usage", "20 of 21 rows cannot be used"),
    ],
)
def test_refuses_in_one_sentence_and_leaves_nothing(rows: list[str], header: str, sentence: str, tmp_path: Path):
    path = tmp_path / "faces.csv"
    path.write_text(small_csv(rows, header))
    with pytest.raises(UserError) as refused:
        ingest_csv(str(path), tmp_path / "out" / "faces")
    assert sentence in str(refused.value)
    assert str(path) in str(refused.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_refuses_a_csv_that_has_changed_since_it_was_located(tmp_path: Path):
    for name, pack in (("faces.csv", bytes), ("faces.csv.gz", gzip.compress)):
        path = tmp_path / name
        path.write_bytes(pack(small_csv(small_rows()).encode()))
        version = find_source(str(path)).version()
        ingest_csv(str(path), tmp_path / "faces", source_version=version)
        path.write_bytes(pack(small_csv(small_rows(41)).encode()))
        with pytest.raises(UserError, match="has changed since it was located"):
            ingest_csv(str(path), tmp_path / "changed", source_version=version)
        assert not (tmp_path / "changed").exists()


def test_a_csv_that_was_not_located_gets_its_version_and_is_opened_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    opened: list[str] = []
    open_file = LocalFile.open
    monkeypatch.setattr(
        LocalFile, "open", lambda self, version="": opened.append(self.name) or open_file(self, version)
    )
    for name, pack, times in (("faces.csv", bytes, 1), ("faces.csv.gz", gzip.compress, 2)):
        path = tmp_path / name
        path.write_bytes(pack(small_csv(small_rows()).encode()))
        profile = ingest_csv(str(path), tmp_path / "faces")
        assert opened.count(name) == times
        assert profile.source["version"] == find_source(str(path)).version()


def test_imports_no_pandas(tmp_path: Path):
    path = tmp_path / "faces.csv"
    path.write_text(small_csv(small_rows()))
    code = f"""
import sys
from components.ingest.ingest import ingest_csv
ingest_csv({str(path)!r}, {str(tmp_path / "faces")!r})
print({{"pandas", "mlflow", "kfp"}} & set(sys.modules))
"""
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "set()"


def test_takes_an_empty_folder_or_an_earlier_data_set_and_nothing_else(tmp_path: Path):
    path = tmp_path / "faces.csv"
    path.write_text(small_csv(small_rows()))
    output = tmp_path / "faces"
    output.mkdir()
    first = ingest_csv(str(path), output)
    assert ingest_csv(str(path), output, Ingest.parse({"duplicates": "keep"})).duplicates != first.duplicates
    assert read_profile(output).duplicates["policy"] == "keep"
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").touch()
    with pytest.raises(UserError, match="no data set"):
        ingest_csv(str(path), mine)
    assert [one.name for one in mine.iterdir()] == ["thesis.tex"]


def test_killed_at_any_moment_it_leaves_a_whole_output_or_none(tmp_path: Path):
    """SIGKILL at 6 moments spread over a run; then a run that is left alone succeeds and clears the rest away."""
    command = [
        sys.executable,
        "-c",
        "import sys; from components.ingest.ingest import ingest_csv; ingest_csv(*sys.argv[1:])",
    ]
    path = tmp_path / "faces.csv"
    tail = " ".join(map(str, [*range(256), *range(256), *range(62)]))
    usages = ["Training", "Training", "PublicTest", "PrivateTest"]
    path.write_text(small_csv([f"{n % 7},{n % 256} {n // 256} {tail},{usages[n % 4]}" for n in range(3000)]))
    started = time.monotonic()
    expected = ingest_csv(str(path), tmp_path / "expected")
    duration = time.monotonic() - started
    outputs = tmp_path / "killed"
    outputs.mkdir()
    died = 0
    for moment in range(6):
        output = outputs / f"faces-{moment}"
        process = subprocess.Popen([*command, str(path), str(output)])
        while process.poll() is None and not any(outputs.glob(f".faces-{moment}-part-*")):
            time.sleep(0.001)  # it still imports
        time.sleep(duration * moment / 5)
        process.send_signal(signal.SIGKILL)
        died += process.wait() == -signal.SIGKILL
        if output.exists():
            assert bytes_of(output).keys() == bytes_of(tmp_path / "expected").keys()
            assert read_profile(output).digest == expected.digest
        assert ingest_csv(str(path), output).digest == expected.digest
    assert died
    assert sorted(one.name for one in outputs.iterdir()) == sorted(f"faces-{moment}" for moment in range(6))


def test_killed_while_it_replaces_an_earlier_output_that_is_put_back_or_replaced(
    tmp_path: Path, kill_between_renames: Callable[..., None]
):
    """SIGKILL between the two renames: there is no output, until the next run puts the earlier one back."""
    path, output = tmp_path / "faces.csv", tmp_path / "out" / "faces"
    path.write_text(small_csv(small_rows()))
    ingest_csv(str(path), output)
    earlier = bytes_of(output)
    path.write_text(small_csv(small_rows(41)))
    code = "from components.ingest.ingest import ingest_csv\ningest_csv(*sys.argv[1:])"
    kill_between_renames(code, str(path), str(output))
    assert not output.exists()
    with pytest.raises(UserError):
        ingest_csv(str(tmp_path / "nothing.csv"), output)
    assert bytes_of(output) == earlier
    assert ingest_csv(str(path), output) == read_profile(output)
    assert bytes_of(output) != earlier
    assert [one.name for one in output.parent.iterdir()] == ["faces"]


def test_real_data(real_csv: Path, tmp_path: Path):
    """The development edition of FER2013: its published counts, and what is known of its faults."""
    profile = ingest_csv(
        str(real_csv), tmp_path / "faces", Ingest.parse({"duplicates": "keep", "reject_constant": False})
    )
    assert profile.source["sha256"] == "a7ceb08d86420af2f7f634bc2b3e9827f4607de6c663858c9cd08097dec4ec4f"
    counts = {split: [profile.splits[split]["per_emotion"][name] for name in EMOTIONS] for split in SPLITS}
    assert counts == {
        "train": [3490, 389, 3574, 6342, 4200, 2794, 4331],
        "validation": [505, 47, 523, 873, 630, 377, 634],
        "test": [467, 56, 496, 895, 653, 415, 607],
    }
    default = ingest_csv(str(real_csv), tmp_path / "default")
    assert default.rejected == {"constant image": 12}
    assert balance_sheet(default) == 32_298


IMAGES = [" ".join(str((image * 37 + pixel * 11) % 256) for pixel in range(16)) for image in range(4)]
JUNK = ["7,1 2,Training", "x", '"', "1,256 0,PublicTest", "0," + " ".join(["9"] * 16) + ",Training"]
ROWS = st.one_of(
    st.builds("{},{},{}".format, st.integers(0, 6), st.sampled_from(IMAGES), st.sampled_from(list(USAGE))),
    st.sampled_from(JUNK),
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROWS, max_size=25), policy=st.sampled_from(["drop_from_train", "keep", "report"]))
def test_every_row_is_kept_rejected_or_a_duplicate_that_left(rows: list[str], policy: str):
    a_face_of_each = [
        f"{emotion},{200 + emotion} {number} " + " ".join(["1"] * 14) + f",{usage}"
        for emotion in range(7)
        for number, usage in enumerate(USAGE)
    ]
    lines = a_face_of_each + rows
    with tempfile.TemporaryDirectory() as folder:
        csv = Path(folder, "fer.csv")
        csv.write_text("emotion,pixels,Usage\n" + "\n".join(lines) + "\n")
        parameters = Ingest.parse({"duplicates": policy, "max_rejected_fraction": 1.0})
        profile = ingest_csv(str(csv), Path(folder, "faces"), parameters)
        kept = sum(len(read_split(Path(folder, "faces"), split)) for split in SPLITS)
        assert kept == sum(profile.splits[split]["rows"] for split in SPLITS)
        dropped = sum(profile.duplicates["dropped"].values())
        assert len(lines) == profile.source["rows"] == kept + sum(profile.rejected.values()) + dropped
        assert bool(dropped) <= (policy == "drop_from_train")
