"""register: every evaluated finalist into the model registry, one of them before the gate."""

from typing import Any

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Markdown, Output

from components import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False, packages_to_install=[])
def register(
    run_ids: list[str],
    ensemble: str,
    faces: Input[Dataset],
    parameters: dict[str, Any],
    pipeline_run_id: str,
    owner: str,
    tracking_uri: str,
    code_version: str,
    report: Output[HTML],
    summary: Output[Markdown],
) -> str:
    """Registers every evaluated candidate, and says whether the best one on validation may become champion.

    Args:
        run_ids: MLflow run ids of the evaluated finalists; an empty one could not be evaluated.
        ensemble: MLflow run id of the evaluated ensemble; empty for none.
        faces: data set; champion and challenger are scored on its test split.
        parameters: the gate's policy, see ferkit/registry/settings.py.
        pipeline_run_id: Kubeflow's id of this pipeline run.
        owner: the command that runs this on its own machine; empty on Kubeflow.
        tracking_uri: the MLflow that holds runs and registry.
        code_version: digest of this step's code, as the pipeline was made from it.
        report: candidates, champion, data and verdict side by side, in one file that opens from disk.
        summary: the verdict and where to look, for Kubeflow's page of the run.

    Returns:
        The verdict as JSON, see ferkit/registry/verdict.py; empty where test was left unread.
    """
    from pathlib import Path

    from components.register.register import register_run_tree
    from ferkit.errors import UserError
    from ferkit.registry.settings import Register
    from ferkit.step import step_context
    from ferkit.tracking import tree
    from ferkit.tracking.owner import Owner
    from ferkit.tracking.store import connect

    with step_context("register", code_version) as log:
        client = connect(tracking_uri)
        evaluated = [run_id for run_id in [*run_ids, ensemble] if run_id]
        if not evaluated:
            raise UserError(f"none of {len(run_ids)} finalists could be evaluated; see the warnings of evaluate")
        parent = tree.parent_of(client, evaluated[0])
        tree.enter(client, parent, Owner.parse(owner, pipeline_run_id))
        done = register_run_tree(client, parent, evaluated, faces.path, faces.uri, Register.parse(parameters), log)
        Path(report.path).write_text(done.report)
        Path(summary.path).write_text(done.summary)
        return done.verdict
