"""evaluate: a candidate's model and the faces it was not fitted to -> predictions, metrics per class, report."""

from typing import Any

from kfp import dsl
from kfp.dsl import HTML, ClassificationMetrics, Dataset, Input, Markdown, Metrics, Output

from components import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False, packages_to_install=[])
def evaluate(
    run_id: str,
    faces: Input[Dataset],
    parameters: dict[str, Any],
    pipeline_run_id: str,
    owner: str,
    tracking_uri: str,
    code_version: str,
    metrics: Output[Metrics],
    classification: Output[ClassificationMetrics],
    report: Output[HTML],
    summary: Output[Markdown],
) -> str:
    """Scores a candidate's model on validation, test and test_clean, and ends the candidate's run in MLflow.

    Args:
        run_id: the candidate's MLflow run, with its model; empty (no ensemble was made) for nothing to do.
        faces: data set folder; its train split is not read.
        parameters: see components/evaluate/parameters.py.
        pipeline_run_id: Kubeflow's id of this pipeline run.
        owner: the command that runs this on its own machine; empty on Kubeflow.
        tracking_uri: the MLflow that has the run.
        code_version: digest of this step's code, as the pipeline was made from it.
        metrics: those of validation, test and test_clean, for Kubeflow's UI.
        classification: the confusion matrix of test.
        report: the candidate's page: metrics, plots and mistakes, in one file.
        summary: its metrics with their intervals and the MLflow link, for Kubeflow's page of the run.

    Returns:
        The run id, for `register`; empty where there was nothing to do, or the model cannot be scored.
    """
    from ferkit.step import step_context

    with step_context("evaluate", code_version) as log:
        if not run_id:
            from components.evaluate.nothing import write_nothing

            write_nothing("There is no ensemble.", metrics, classification, report, summary)
            log.info("skipped: there is no ensemble")
            return ""

        from components.evaluate.evaluate import evaluate_candidate
        from components.evaluate.outputs import describe, write_outputs
        from components.evaluate.parameters import Evaluate
        from ferkit.metrics.evaluation import read_candidate
        from ferkit.tracking import candidates, tree
        from ferkit.tracking.names import State
        from ferkit.tracking.owner import Owner
        from ferkit.tracking.store import connect

        client = connect(tracking_uri)
        tree.enter(client, tree.parent_of(client, run_id), Owner.parse(owner, pipeline_run_id))
        if candidates.state_of(client.get_run(run_id)) != State.EVALUATED:
            evaluate_candidate(client, run_id, faces.path, Evaluate.parse(parameters), log)
        candidate = read_candidate(client, run_id)
        write_outputs(candidate, metrics, classification, report, summary, tracking_uri)
        if candidate.evaluation is None:
            return ""
        log.info("%s: %s", candidate.name, describe(candidate.evaluation))
        return run_id
