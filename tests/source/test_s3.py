"""What is wrong with S3 before any server is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.bad_input import BadInput
from components.source import find_source


@pytest.fixture(autouse=True)
def no_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of this machine: neither in the environment nor in files."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_a_profile_that_is_nowhere_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(BadInput) as refused:
        find_source("s3://faces/a.csv")
    assert str(refused.value) == (
        "s3://faces/a.csv: AWS_PROFILE names 'nobody', a profile that is not in the AWS config (~/.aws/config, "
        "~/.aws/credentials); name one that is"
    )


def test_no_credentials_at_all():
    with pytest.raises(BadInput, match=r"^s3://faces/a\.csv: no credentials for S3; set AWS_ACCESS_KEY_ID and"):
        find_source("s3://faces/a.csv").version()


@pytest.mark.parametrize("address", ["s3://faces", "s3://faces/", "s3://faces/data/"])
def test_an_address_without_an_object(address: str):
    with pytest.raises(BadInput, match="names no object; give s3://bucket/key"):
        find_source(address)
