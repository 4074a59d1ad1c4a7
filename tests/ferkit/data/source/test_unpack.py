"""The CSV in an archive is found by its header; damaged and hostile archives are refused in a sentence."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ferkit.data.source import open_csv, read_pixels, unpack
from ferkit.errors import UserError

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


SETS = {"ck/ckextended.csv": NO_USAGE, "fer2013.csv": CSV, "b/fer2013.csv": UNLABELLED, "README": b"two sets\n"}


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize(
    ("asked", "member"),
    [
        ("", "fer2013.csv"),
        ("#fer2013.csv", "fer2013.csv"),
        ("#ckextended.csv", "ck/ckextended.csv"),
        ("#b/fer2013.csv", "b/fer2013.csv"),
    ],
)
def test_a_member_is_chosen_behind_the_address_and_the_others_are_told(
    pack: Callable, asked: str, member: str, tmp_path: Path
):
    path = pack(SETS, tmp_path / "a")
    with open_csv(f"{path}{asked}") as opened:
        assert opened.stream.read() == SETS[member]
        assert opened.member == member
        assert set(opened.others) == {name for name in SETS if name.endswith(".csv")} - {member}
        assert opened.source.address == str(path)


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize(
    ("asked", "sentence"), [("x.csv", "no file in it is called x.csv"), ("same.csv", "several files in it are called")]
)
def test_a_member_that_is_not_there_or_not_the_only_one_is_refused(
    pack: Callable, asked: str, sentence: str, tmp_path: Path
):
    path = pack({"a/same.csv": CSV, "b/same.csv": CSV}, tmp_path / "a.zip")
    with pytest.raises(UserError, match=rf"{sentence}.*\(in it: a/same.csv, b/same.csv"):
        read(f"{path}#{asked}")  # type: ignore[arg-type]


def test_what_is_no_archive_has_no_members(tmp_path: Path):
    (tmp_path / "fer.csv").write_bytes(CSV)
    with pytest.raises(UserError, match="is no archive"):
        read(f"{tmp_path / 'fer.csv'}#a.csv")  # type: ignore[arg-type]


def test_a_file_whose_own_name_has_a_hash_sign_goes_first(tmp_path: Path):
    zipped(SETS, tmp_path / "set #1.zip")
    (tmp_path / "set #1.zip#fer2013.csv").write_bytes(NO_USAGE)
    assert read(tmp_path / "set #1.zip#fer2013.csv")[0] == NO_USAGE
    (tmp_path / "set #1.zip#fer2013.csv").unlink()
    assert read(tmp_path / "set #1.zip#fer2013.csv")[0] == CSV


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_of_a_member_that_a_tar_repeats_the_last_counts(mode: str, tmp_path: Path):
    with tarfile.open(tmp_path / "a.tar", mode) as archive:  # type: ignore[call-overload]
        for data in (NO_USAGE, UNLABELLED, CSV):
            info = tarfile.TarInfo("fer.csv")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    assert read(tmp_path / "a.tar")[0] == CSV


def test_a_pipe_is_refused_at_once(tmp_path: Path):
    os.mkfifo(tmp_path / "fer.csv")
    with pytest.raises(UserError, match="a pipe or a device"):
        read(tmp_path / "fer.csv")


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("member", ["../fer.csv", "/etc/fer.csv", "a/../../fer.csv", "..\\fer.csv", "C:\\fer.csv"])
def test_refuses_members_that_point_out(pack: Callable, member: str, tmp_path: Path):
    path = pack({member: CSV}, tmp_path / "a")
    with pytest.raises(UserError, match="points out of the archive"):
        read(path)


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("order", [1, -1])
def test_refuses_it_also_before_or_behind_the_csv(pack: Callable, order: int, tmp_path: Path):
    members = {"../evil.txt": b"evil", "fer.csv": CSV, "README": b"faces"}
    with pytest.raises(UserError, match="points out of the archive"):
        read(pack(dict(list(members.items())[::order]), tmp_path / "a"))


@pytest.mark.parametrize("pack", PACKERS)
def test_refuses_an_archive_of_too_many_members(pack: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ferkit.data.source.unpack.MOST_MEMBERS", 3)
    members = {f"{number}.txt": b"" for number in range(3)}
    assert read(pack({**dict(list(members.items())[:2]), "fer.csv": CSV}, tmp_path / "few"))[0] == CSV
    with pytest.raises(UserError, match="has over 3 members; use an archive of one CSV"):
        read(pack({**members, "fer.csv": CSV}, tmp_path / "many"))


def test_refuses_a_zip_with_a_password(tmp_path: Path):
    path = zipped({"fer.csv": CSV}, tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    directory = data.index(b"PK\x01\x02")
    data[6] |= 1  # the flag of encryption, in the member's header and in the directory's entry
    data[directory + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"fer.csv in it has a password; unpack it and use the CSV"):
        read(path)


@pytest.mark.parametrize("pack", PACKERS)
def test_refuses_an_archive_without_a_csv(pack: Callable, tmp_path: Path):
    path = pack({"notes.txt": b"no faces here\n"}, tmp_path / "a")
    with pytest.raises(UserError, match=r"column `pixels` \(in it: 'notes.txt'\)"):
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
    with pytest.raises(UserError, match="bomb"), open_csv(str(path)) as opened:
        got.extend(iter(lambda: opened.stream.read(1 << 16), b""))
    assert sum(map(len, got)) <= 2_500_000


@pytest.mark.parametrize("pack", [tar, zipped])
def test_refuses_an_archive_cut_off_anywhere(pack: Callable, tmp_path: Path):
    whole = pack({"fer.csv": CSV * 20 + bytes(range(256)) * 40}, tmp_path / "a").read_bytes()
    for length in range(30, len(whole) - 30, len(whole) // 12):
        path = tmp_path / "cut"
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"damaged|no file in it"):
            read(path)


def test_refuses_a_gzip_cut_off_or_changed(tmp_path: Path):
    whole = bytearray(gzip.compress(CSV * 100))
    path = tmp_path / "a.gz"
    path.write_bytes(whole[:-20])
    with pytest.raises(UserError, match="damaged or cut off"):
        read(path)
    whole[-6] ^= 1  # the checksum
    path.write_bytes(whole)
    with pytest.raises(UserError, match="damaged or cut off"):
        read(path)


def test_says_what_is_wrong_with_an_address(tmp_path: Path):
    for address, sentence in {
        str(tmp_path / "none.csv"): "no such file",
        str(tmp_path): "is a folder",
        "ftp://host/x": "no way to read ftp://",
        "s3://bucket": "names no object",
        "sample://?faecs=3": "did you mean 'faces'",
        "sample://?faces=many": "whole number",
        "sample://?faces=" + "9" * 5000: "whole number below",
        "": "the address of the CSV is empty",
        " ": "the address of the CSV is empty",
        "a\0b": "has no line breaks or control characters, and is UTF-8",
        "caf\udce9.csv": "caf\\\\xe9.csv: an address has no line breaks",
        "http://[your-server]/fer.csv": "brackets in an address are for IPv6",
        "http://host:99999/fer.csv": "http://host:99999/fer.csv: a port is a number from 1 to 65535",
        "http://host:port/fer.csv": "a port is a number",
        "https://ann:geheim@[x/fer.csv?key=geheim": r"^https://\[x/fer.csv: brackets",
        "https://": "names no server|no way to read",
        "http:///fer.csv": "names no server",
        "http://<your-server>/fer.csv": "names no server",
    }.items():
        with pytest.raises(UserError, match=sentence) as refused:
            read(Path(address) if address.startswith("/") else address)  # type: ignore[arg-type]
        assert "geheim" not in str(refused.value)


def test_reads_faces_without_labels(tmp_path: Path):
    path = tmp_path / "test.csv"
    path.write_bytes(b"pixels\n1 2 3 4\nx\n5 5 5 5\n")
    rejected = []
    (row, pixels), *_ = read_pixels(str(path), rejected)
    assert row.tolist() == [0, 2]
    assert pixels.tolist() == [[[1, 2], [3, 4]], [[5, 5], [5, 5]]]
    assert [(one.row, one.reason) for one in rejected] == [(1, "not a number")]
