"""evaluate: a candidate's model and the faces it was not fitted to -> predictions, metrics per class, report."""

from kfp import dsl
from kfp.dsl import HTML, ClassificationMetrics, Dataset, Input, Metrics, Output

from components.images import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False, packages_to_install=[])
def evaluate(
    run_id: str,
    faces: Input[Dataset],
    parameters: dict,
    tracking_uri: str,
    metrics: Output[Metrics],
    classification: Output[ClassificationMetrics],
    report: Output[HTML],
) -> str:
    """Scores a candidate's model on validation, test and test_clean, and ends the candidate's run in MLflow.

    Args:
        run_id: the candidate's MLflow run, with its model. One whose training failed is passed on unscored.
        faces: data set folder; its train split is not read.
        parameters: see components/evaluate/parameters.py.
        tracking_uri: the MLflow that has the run.
        metrics: the figures of validation, test and test_clean, for Kubeflow's UI.
        classification: the confusion matrix of test.
        report: the candidate's page: figures, plots and mistakes, in one file.

    Returns:
        The run id, for `register`.
    """
    from components.evaluate.evaluate import evaluate_candidate
    from components.evaluate.outputs import write_outputs
    from components.evaluate.parameters import Evaluate
    from components.model.evaluation import read_candidate
    from components.step import running
    from components.tracking.store import connect

    with running("evaluate") as log:
        client = connect(tracking_uri)
        evaluation = evaluate_candidate(client, run_id, faces.path, Evaluate.parse(parameters))
        write_outputs(read_candidate(client, run_id), metrics, classification, report)
        if evaluation is None:
            log.info("run %s failed in training: nothing to score", run_id)
        else:
            test = evaluation.splits["test"].figures
            low, high = evaluation.splits["test"].intervals["macro_f1"]
            log.info(
                "%s test faces: accuracy %.3f, macro-F1 %.3f [%.3f, %.3f], worst class's recall %.3f",
                f"{evaluation.splits['test'].rows:,}",
                test["accuracy"],
                test["macro_f1"],
                low,
                high,
                test["worst_recall"],
            )
        return run_id
