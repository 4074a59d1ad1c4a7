"""MLflow's active run, for a block: what is logged to it, and where a data set of it came from."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import mlflow
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.dataset_source import DatasetSource
from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.data.meta_dataset import MetaDataset

from ferkit.store_errors import is_out_of_reach
from ferkit.tracking.patience import OF_THE_LAST_WORD, patience


def dataset_source(address: str) -> DatasetSource:
    """The source at an address: S3, Google Cloud Storage, HTTP, a file of this machine; code, for the drawn sample.

    An address of a kind that MLflow does not know is kept as it is.

    Args:
        address: of the CSV, without secrets.
    """
    if address.partition(":")[0] == "sample":
        return CodeDatasetSource({"mlflow.source.name": f"fer-pipeline, {address}"})
    try:
        with warnings.catch_warnings():  # "can be interpreted in multiple ways", of every local path
            warnings.simplefilter("ignore")
            return resolve_dataset_source(address)
    except mlflow.MlflowException:
        return HTTPDatasetSource(address)


@contextmanager
def writing_to(run_id: str) -> Iterator[None]:
    """Makes `run_id` MLflow's active run for the block and leaves its status RUNNING afterwards.

    MLflow's own `start_run` block would close the run, and fail it for an error that a retry of the step may overcome.
    """
    mlflow.start_run(run_id=run_id)
    try:
        yield
    except BaseException as error:
        # The error at hand says more than that MLflow is out of reach, which it may have waited for already.
        is_waiting_in_vain = isinstance(error, mlflow.MlflowException) and is_out_of_reach(error)
        with patience(OF_THE_LAST_WORD if is_waiting_in_vain else {}), suppress(mlflow.MlflowException):
            mlflow.end_run("RUNNING")
        raise
    mlflow.end_run("RUNNING")


def log_picture(path: Path, key: str) -> None:
    """Logs a PNG to the active run as an image of MLflow's: its grid shows those of one key across runs."""
    from PIL import Image

    with Image.open(path) as picture:
        mlflow.log_image(picture.convert("RGB"), key=key, step=0, synchronous=True)


def log_dataset(source: str, name: str, digest: str, context: str) -> MetaDataset:
    """Logs a part of the data as an input of the active run.

    Args:
        source: address of the CSV, without secrets.
        name: `train`, `validation`, `test` or `test_clean`.
        digest: of its content.
        context: what it is used for: `training`, `validation` or `testing`.

    Returns:
        The dataset, to attach to metrics (`mlflow.log_metric(..., dataset=...)`).
    """
    dataset = MetaDataset(dataset_source(source), name=name, digest=digest)
    mlflow.log_input(dataset, context=context)
    return dataset
