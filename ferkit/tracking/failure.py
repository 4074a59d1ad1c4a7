"""Why a run did not finish: a tag for programs, and the first thing on its page for people."""

from __future__ import annotations

from typing import Final

import mlflow
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from ferkit.tracking import names
from ferkit.tracking.markdown import escape
from ferkit.tracking.store import LONGEST_TAG

HEAD: Final = "**did not finish**: "
LONGEST: Final = 2_000
"""Characters of a sentence on a page; the tag has all of it."""


def say_failed(client: mlflow.MlflowClient, run_id: str, sentence: str) -> None:
    """Says why a run did not finish; a description that tells more than its starter's note stays."""
    client.set_tag(run_id, names.FAILURE, sentence[:LONGEST_TAG])
    tags = client.get_run(run_id).data.tags
    note, said = tags.get(names.NOTE, ""), tags.get(MLFLOW_RUN_NOTE, "")
    if said in ("", note) or HEAD in said:
        why = f"{HEAD}{escape(sentence[:LONGEST])}"
        client.set_tag(run_id, MLFLOW_RUN_NOTE, f"{note}\n\n{why}" if note else why)


def take_back_failure(client: mlflow.MlflowClient, run: Run) -> None:
    """Takes back what was said of an earlier end, of a run that goes on."""
    run_id, tags = run.info.run_id, run.data.tags
    if names.FAILURE in tags:
        client.delete_tag(run_id, names.FAILURE)
    if HEAD not in tags.get(MLFLOW_RUN_NOTE, ""):
        return
    if note := tags.get(names.NOTE):
        client.set_tag(run_id, MLFLOW_RUN_NOTE, note)
    else:
        client.delete_tag(run_id, MLFLOW_RUN_NOTE)
