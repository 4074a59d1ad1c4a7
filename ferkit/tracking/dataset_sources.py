"""Where a data set came from, as MLflow's own kinds of source: its pages show the kind, and lead to the address."""

from __future__ import annotations

import warnings

import mlflow
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.dataset_source import DatasetSource
from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.data.http_dataset_source import HTTPDatasetSource


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
