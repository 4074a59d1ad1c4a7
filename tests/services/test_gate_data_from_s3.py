"""`ferpipe gate` without --data: what the gate reads of a version's data set comes from where its artifact lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ferkit.data import read_profile, read_split
from ferkit.errors import UserError
from ferkit.registry.data import DATA_URI, data_of
from ferkit.registry.versions import Version

pytestmark = pytest.mark.services


def version_with(uri: str) -> Version:
    return Version(model="facial-expression", number="7", run_id="0" * 32, tags={DATA_URI: uri})


@pytest.mark.parametrize("scheme", ["s3", "minio"])
def test_the_test_split_and_the_profile_are_fetched_and_left_nowhere(s3: Any, sample_faces: Path, scheme: str):
    for path in sample_faces.iterdir():
        s3.upload_file(str(path), "faces", f"v2/artifacts/ingest/{path.name}")
    with data_of(version_with(f"{scheme}://faces/v2/artifacts/ingest/"), None) as folder:
        assert read_profile(folder).digest == read_profile(sample_faces).digest
        assert (read_split(folder, "test").pixels == read_split(sample_faces, "test").pixels).all()
        assert sorted(path.name for path in folder.iterdir()) == ["profile.json", "test.parquet"]
    assert not folder.exists()


def test_a_data_set_that_is_gone_is_one_sentence_with_the_cure(s3: Any):
    with (
        pytest.raises(UserError, match=r"s3://faces/gone: .*404.*AWS_ENDPOINT_URL, or use a data set folder.*--data"),
        data_of(version_with("s3://faces/gone"), None),
    ):
        pass


def test_a_folder_of_a_pod_that_is_dead_is_one_sentence():
    with (
        pytest.raises(UserError, match=r"version 7 was registered with \(/minio/pod\) is not here; use a data set"),
        data_of(version_with("/minio/pod"), None),
    ):
        pass
