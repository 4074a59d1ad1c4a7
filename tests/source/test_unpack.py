"""The CSV in an archive is found by its header; damaged and hostile archives are refused in a sentence."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from components.bad_input import BadInput
from components.source import open_csv, read_pixels, unpack

CSV = b"emotion,pixels,Usage\n" + b"0,1 2 3 4,Training\n" * 50
NO_USAGE = b"emotion,pixels\n" + b"0,1 2 3 4\n" * 50
UNLABELLED = b"pixels\n" + b"1 2 3 4\n" * 50


def tar(members: dict[str, bytes], path: Path, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def zipped(members: dict[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def plain_tar(members: dict[str, bytes], path: Path) -> Path:
    return tar(members, path, "w")


PACKERS = [tar, plain_tar, zipped]


def read(path: Path) -> tuple[bytes, str]:
    with open_csv(str(path)) as opened:
        return opened.stream.read(), opened.name


@pytest.mark.parametrize(
    "packed",
    [CSV, gzip.compress(CSV), gzip.compress(CSV[:100]) + gzip.compress(CSV[100:])],
    ids=["plain", "gzip", "two members of gzip"],  # gzip's bytes hold the time: as names they differ between processes
)
def test_plain_and_gzip_whatever_the_name(packed: bytes, tmp_path: Path):
    path = tmp_path / "faces.dat"
    path.write_bytes(packed)
    assert read(path) == (CSV, str(path))


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("order", [1, -1])
def test_takes_the_member_with_the_most_columns(pack: Callable, order: int, tmp_path: Path):
    members = {"README": b"pixels of faces", "d/test.csv": UNLABELLED, "d/train.csv": NO_USAGE, "d/fer.csv": CSV}
    path = pack(dict(list(members.items())[::order]), tmp_path / "a")
    assert read(path) == (CSV, f"{path}:d/fer.csv")


@pytest.mark.parametrize("pack", PACKERS)
def test_without_usage_the_labelled_one_wins(pack: Callable, tmp_path: Path):
    path = pack({"test.csv": UNLABELLED, "train.csv": NO_USAGE}, tmp_path / "a")
    assert read(path) == (NO_USAGE, f"{path}:train.csv")


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("member", ["../fer.csv", "/etc/fer.csv", "a/../../fer.csv", "..\\fer.csv", "C:\\fer.csv"])
def test_refuses_members_that_point_out(pack: Callable, member: str, tmp_path: Path):
    path = pack({member: CSV}, tmp_path / "a")
    with pytest.raises(BadInput, match="points out of the archive"):
        read(path)


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("order", [1, -1])
def test_refuses_it_also_before_or_behind_the_csv(pack: Callable, order: int, tmp_path: Path):
    members = {"../evil.txt": b"evil", "fer.csv": CSV, "README": b"faces"}
    with pytest.raises(BadInput, match="points out of the archive"):
        read(pack(dict(list(members.items())[::order]), tmp_path / "a"))


@pytest.mark.parametrize("pack", PACKERS)
def test_refuses_an_archive_of_too_many_members(pack: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("components.source.unpack.MOST_MEMBERS", 3)
    members = {f"{number}.txt": b"" for number in range(3)}
    assert read(pack({**dict(list(members.items())[:2]), "fer.csv": CSV}, tmp_path / "few"))[0] == CSV
    with pytest.raises(BadInput, match="has over 3 members; give an archive of one CSV"):
        read(pack({**members, "fer.csv": CSV}, tmp_path / "many"))


def test_refuses_a_zip_with_a_password(tmp_path: Path):
    path = zipped({"fer.csv": CSV}, tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    directory = data.index(b"PK\x01\x02")
    data[6] |= 1  # the flag of encryption, in the member's header and in the directory's entry
    data[directory + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"fer.csv in it has a password; unpack it and give the CSV"):
        read(path)


@pytest.mark.parametrize("pack", PACKERS)
def test_refuses_an_archive_without_a_csv(pack: Callable, tmp_path: Path):
    path = pack({"notes.txt": b"no faces here\n"}, tmp_path / "a")
    with pytest.raises(BadInput, match=r"column `pixels` \(in it: 'notes.txt'\)"):
        read(path)


@pytest.mark.parametrize("kind", ["gz", "zip", "tar.gz"])
def test_refuses_a_bomb_before_it_unfolds(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unpack, "UNSUSPECTED", 2_000_000)
    path = tmp_path / f"bomb.{kind}"
    lines = CSV + b"0 " * 5_000_000
    if kind == "gz":
        path.write_bytes(gzip.compress(lines))
    else:
        (zipped if kind == "zip" else tar)({"fer.csv": lines}, path)
    got = []
    with pytest.raises(BadInput, match="bomb"), open_csv(str(path)) as opened:
        got.extend(iter(lambda: opened.stream.read(1 << 16), b""))
    assert sum(map(len, got)) <= 2_500_000


@pytest.mark.parametrize("pack", [tar, zipped])
def test_refuses_an_archive_cut_off_anywhere(pack: Callable, tmp_path: Path):
    whole = pack({"fer.csv": CSV * 20 + bytes(range(256)) * 40}, tmp_path / "a").read_bytes()
    for length in range(30, len(whole) - 30, len(whole) // 12):
        path = tmp_path / "cut"
        path.write_bytes(whole[:length])
        with pytest.raises(BadInput, match=r"damaged|no file in it"):
            read(path)


def test_refuses_a_gzip_cut_off_or_changed(tmp_path: Path):
    whole = bytearray(gzip.compress(CSV * 100))
    path = tmp_path / "a.gz"
    path.write_bytes(whole[:-20])
    with pytest.raises(BadInput, match="damaged or cut off"):
        read(path)
    whole[-6] ^= 1  # the checksum
    path.write_bytes(whole)
    with pytest.raises(BadInput, match="damaged or cut off"):
        read(path)


def test_says_what_is_wrong_with_an_address(tmp_path: Path):
    for address, sentence in {
        str(tmp_path / "none.csv"): "no such file",
        str(tmp_path): "is a folder",
        "ftp://host/x": "no way to read ftp://",
        "s3://bucket": "names no object",
        "sample://?faecs=3": "did you mean 'faces'",
        "sample://?faces=many": "whole number",
    }.items():
        with pytest.raises(BadInput, match=sentence):
            read(Path(address) if address.startswith("/") else address)  # type: ignore[arg-type]


def test_reads_faces_without_labels(tmp_path: Path):
    path = tmp_path / "test.csv"
    path.write_bytes(b"pixels\n1 2 3 4\nx\n5 5 5 5\n")
    rejected = []
    (row, pixels), *_ = read_pixels(str(path), rejected)
    assert row.tolist() == [0, 2]
    assert pixels.tolist() == [[[1, 2], [3, 4]], [[5, 5], [5, 5]]]
    assert [(one.row, one.reason) for one in rejected] == [(1, "not a number")]
