"""A candidate's evaluation, asked of MLflow: figures, inputs, artifacts, status."""

from __future__ import annotations

import json
import re
import shutil
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import mlflow
import mlflow.artifacts
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import f1_score, recall_score

from components.evaluate.evaluate import evaluate_candidate, named_metrics
from components.evaluate.nothing import write_nothing
from components.evaluate.outputs import write_outputs
from components.evaluate.parameters import Evaluate
from ferkit.data import EMOTIONS, Faces, read_profile, read_split
from ferkit.errors import OutOfReach, UserError
from ferkit.metrics.classification import Scores
from ferkit.metrics.evaluation import Evaluation, describe_split, read_candidate, read_evaluation
from ferkit.serving.load import load_face_model
from ferkit.tracking import tree
from ferkit.tracking.candidates import NewCandidate, open_candidates, set_state
from ferkit.tracking.names import State
from ferkit.tracking.store import connect

if TYPE_CHECKING:
    from tests.conftest import LoggedModel

PARAMETERS = Evaluate(resamples=500, seed=1, mistakes=5)


@pytest.fixture(scope="module")
def client(logged_model: LoggedModel) -> mlflow.MlflowClient:
    return connect(logged_model.tracking_uri)


@pytest.fixture(scope="module")
def evaluation(client: mlflow.MlflowClient, logged_model: LoggedModel, sample_faces: Path) -> Evaluation:
    for epoch, figure in enumerate((0.91, 0.01), 1):  # of training: the first is kept, the last comes after it
        client.log_metric(logged_model.run_id, "val/macro_f1", figure, step=epoch)
        client.log_metric(logged_model.run_id, "val/accuracy", figure, step=epoch)
    found = evaluate_candidate(client, logged_model.run_id, sample_faces, PARAMETERS)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def run(client: mlflow.MlflowClient, logged_model: LoggedModel, evaluation: Evaluation) -> Any:
    return client.get_run(logged_model.run_id)


@pytest.fixture(scope="module")
def artifacts(run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = str(tmp_path_factory.mktemp("artifacts"))
    return Path(mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/evaluation", dst_path=target))


def test_the_run_has_the_metrics_that_scikit_learn_computes(
    run: Any, sample_faces: Path, logged_model: LoggedModel
) -> None:
    model = load_face_model(f"runs:/{logged_model.run_id}/model")
    test = read_split(sample_faces, "test")
    for split, faces in {
        "eval_val": read_split(sample_faces, "validation"),
        "test": test,
        "test_clean": test.take(~test.in_train),
    }.items():
        called = model.probabilities(faces.pixels).argmax(axis=1)
        recalls: Any = recall_score(faces.emotion, called, labels=range(7), average=None, zero_division=0.0)  # pyright: ignore
        macro = f1_score(faces.emotion, called, labels=range(7), average="macro", zero_division=0.0)  # pyright: ignore
        metrics = run.data.metrics
        assert metrics[f"{split}/accuracy"] == pytest.approx((called == faces.emotion).mean(), abs=1e-12)
        assert metrics[f"{split}/macro_f1"] == pytest.approx(macro, abs=1e-12)
        assert metrics[f"{split}/worst_recall"] == pytest.approx(recalls.min(), abs=1e-12)
        for label, emotion in enumerate(EMOTIONS if split == "test" else ()):
            assert metrics[f"{split}/recall/{emotion}"] == pytest.approx(recalls[label], abs=1e-12)


def test_one_name_is_one_quantity_and_few_enough_to_compare_by(client: mlflow.MlflowClient, run: Any) -> None:
    """The exported model's figures are logged once, at step 0, beside training's own by epoch."""
    found = [name for name in run.data.metrics if not name.startswith(("train/", "val/", "best_val/", "system/"))]
    of_split = {split: {name for name in found if name.startswith(f"{split}/")} for split in ("test", "test_clean")}
    assert {name.split("/")[1] for name in of_split["test"] if name.count("/") == 2} == {"precision", "recall", "f1"}
    assert len([name for name in of_split["test"] if name.count("/") == 2]) == 3 * len(EMOTIONS)
    assert not any(name.count("/") == 2 for name in of_split["test_clean"])
    assert len(found) + 16 <= 60  # training's own, see test_train.py
    for name in found:
        assert [point.step for point in client.get_metric_history(run.info.run_id, name)] == [0], name
    assert run.data.metrics["val/macro_f1"] == 0.01, "evaluation leaves training's figure alone"


def test_pictures_that_people_hold_side_by_side_are_in_the_image_grid(client: mlflow.MlflowClient, run: Any) -> None:
    keys = {Path(file.path).name.split("+")[0] for file in client.list_artifacts(run.info.run_id, "images")}
    assert keys == {"test_confusion_matrix", "test_per_class", "test_mistakes"}


def test_a_class_without_a_test_face_has_no_metric() -> None:
    truth = np.array([0, 0, 2, 3, 4, 5, 6])
    scores = Scores(truth, np.eye(7, dtype=np.float32)[truth])
    named = named_metrics("test", describe_split(scores, "d", 100, 0))
    assert "test/recall/angry" in named
    assert not [name for name in named if name.endswith("/disgust")]


def test_test_and_test_clean_differ_by_the_leaked_rows(evaluation: Evaluation, sample_faces: Path) -> None:
    leaked = read_profile(sample_faces).splits["test"]["in_train"]
    assert leaked > 0
    assert evaluation.splits["test"].rows - evaluation.splits["test_clean"].rows == leaked


def test_the_run_is_finished_and_names_the_splits_it_was_scored_on(run: Any, sample_faces: Path) -> None:
    assert run.info.status == "FINISHED"
    logged = {each.dataset.name: each.dataset.digest for each in run.inputs.dataset_inputs}
    splits = read_profile(sample_faces).splits
    assert {split: logged[split] for split in ("validation", "test")} == {
        split: splits[split]["digest"] for split in ("validation", "test")
    }
    assert logged["test_clean"] not in (logged["test"], logged["validation"])


def test_metrics_carry_model_and_dataset(client: mlflow.MlflowClient, run: Any) -> None:
    models = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    metrics = {metric.key: metric for metric in models[0].metrics or []}
    assert metrics["test/macro_f1"].dataset_name == "test"
    assert metrics["eval_val/macro_f1"].dataset_name == "validation"


def test_predictions_hold_every_face_with_its_probabilities(artifacts: Path, sample_faces: Path) -> None:
    table = pd.read_csv(artifacts / "test" / "predictions.csv")
    test = read_split(sample_faces, "test")
    assert table["row"].tolist() == test.row.tolist()
    assert table["truth"].tolist() == [EMOTIONS[label] for label in test.emotion]
    given = table[list(EMOTIONS)].to_numpy()
    assert np.allclose(given.sum(axis=1), 1, atol=1e-4)
    assert table["prediction"].tolist() == [EMOTIONS[label] for label in given.argmax(axis=1)]


def test_every_plot_is_a_picture_with_something_on_it(artifacts: Path) -> None:
    plots = {path.relative_to(artifacts).as_posix() for path in artifacts.rglob("*.png")}
    assert plots == {
        "validation/confusion_matrix.png",
        *(
            f"test/{name}.png"
            for name in (
                "confusion_matrix", "per_class", "counts", "reliability", "precision_recall", "faces", "mistakes"
            )
        ),
    }  # fmt: skip
    for name in plots:
        assert np.asarray(Image.open(artifacts / name).convert("L")).std() > 5, name


def test_the_classification_report_covers_all_seven(artifacts: Path) -> None:
    text = (artifacts / "test" / "classification_report.txt").read_text()
    assert all(re.search(rf"^\s*{emotion}\s+\d\.\d{{4}}", text, re.MULTILINE) for emotion in EMOTIONS)


def test_what_was_written_reads_back_as_it_was(run: Any, evaluation: Evaluation) -> None:
    assert read_evaluation(run) == evaluation


def test_a_store_that_does_not_answer_is_no_failed_training(
    client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_MAX_ATTEMPTS": "1"}.items():
        monkeypatch.setenv(name, value)
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        experiment_id = client.create_experiment("out of reach", artifact_location="s3://bucket/runs")
        failed, evaluated = (
            client.create_run(experiment_id, run_name=state, tags={"candidate.state": state}).info.run_id
            for state in (State.FAILED, State.EVALUATED)
        )
        assert read_candidate(client, failed).evaluation is None
        with pytest.raises(OutOfReach, match=rf"{evaluated} \(evaluated\) was evaluated, but .* s3://bucket/runs/"):
            read_candidate(client, evaluated)


def test_mistakes_are_wrong_and_the_surest_first(evaluation: Evaluation) -> None:
    assert len(evaluation.mistakes) == 5
    assert all(mistake.truth != mistake.prediction for mistake in evaluation.mistakes)
    sure = [mistake.probability for mistake in evaluation.mistakes]
    assert sure == sorted(sure, reverse=True)


class Artifact(SimpleNamespace):
    """Stands for kfp's Metrics, ClassificationMetrics and HTML, which need an executor."""

    def log_metric(self, name: str, value: float) -> None:
        vars(self).setdefault("metrics", {})[name] = value

    def log_confusion_matrix(self, categories: list[str], matrix: list[list[int]]) -> None:
        self.matrix = (categories, matrix)


@pytest.fixture
def outputs(tmp_path: Path) -> list[Artifact]:
    return [Artifact(path=str(tmp_path / name)) for name in ("metrics", "classification", "report", "summary")]


def test_kubeflows_artifacts_show_the_same(
    client: mlflow.MlflowClient, run: Any, evaluation: Evaluation, outputs: list[Artifact]
) -> None:
    write_outputs(read_candidate(client, run.info.run_id), *outputs, tracking_uri="http://mlflow:5000")
    metrics, classification, report, summary = outputs
    assert metrics.metrics["test_macro_f1"] == run.data.metrics["test/macro_f1"]
    assert classification.matrix == (list(EMOTIONS), evaluation.splits["test"].confusion)
    assert json.loads(Path(metrics.path).read_text()) == metrics.metrics
    assert "lenet-s0" in Path(report.path).read_text()
    shown = Path(summary.path).read_text()
    assert shown.startswith("## lenet-s0\n")
    low, high = evaluation.splits["test"].intervals["macro_f1"]
    assert f"{run.data.metrics['test/macro_f1']:.3f} [{low:.3f}, {high:.3f}]" in shown
    page = f"http://mlflow:5000/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    assert f"({page}?workflowType=machine_learning)" in shown


def test_a_candidate_that_failed_in_training_is_passed_on_unscored(
    client: mlflow.MlflowClient, run: Any, sample_faces: Path, outputs: list[Artifact]
) -> None:
    failed = client.create_run(run.info.experiment_id, run_name="diverged").info.run_id
    tree.close(client, failed, "FAILED", "loss is no number after epoch 2 <of 3>")
    assert evaluate_candidate(client, failed, sample_faces, PARAMETERS) is None
    assert client.get_run(failed).info.status == "FAILED"
    assert not client.get_run(failed).data.metrics
    write_outputs(read_candidate(client, failed), *outputs, tracking_uri="http://mlflow:5000")
    assert all(Path(output.path).is_file() for output in outputs)
    assert "loss is no number after epoch 2 &lt;of 3&gt;" in Path(outputs[2].path).read_text()


def test_a_run_without_a_model_is_refused(client: mlflow.MlflowClient, run: Any, sample_faces: Path) -> None:
    bare = client.create_run(run.info.experiment_id).info.run_id
    with pytest.raises(UserError, match=f"runs:/{bare}/model: cannot be loaded"):
        evaluate_candidate(client, bare, sample_faces, PARAMETERS)


def test_without_an_ensemble_its_outputs_are_there_and_say_so(outputs: list[Artifact]) -> None:
    write_nothing("There is no ensemble.", *outputs)
    assert all(Path(output.path).is_file() for output in outputs)
    assert "There is no ensemble" in Path(outputs[3].path).read_text()


def test_test_is_not_read_where_it_is_to_be_left_alone(
    client: mlflow.MlflowClient,
    logged_model: LoggedModel,
    evaluation: Evaluation,
    sample_faces: Path,
    outputs: list[Artifact],
    tmp_path: Path,
) -> None:
    shutil.copytree(sample_faces, tmp_path / "without-test")
    (tmp_path / "without-test" / "test.parquet").unlink()
    left_alone = PARAMETERS.model_copy(update={"test": False})
    run_id = logged_model.run_id
    found = evaluate_candidate(client, run_id, tmp_path / "without-test", left_alone)
    assert found is not None
    assert set(found.splits) == {"validation"}
    assert found.splits["validation"] == evaluation.splits["validation"]
    write_outputs(read_candidate(client, run_id), *outputs, tracking_uri="http://mlflow:5000")
    assert "on validation" in Path(outputs[2].path).read_text()


def test_a_model_that_cannot_be_scored_ends_its_candidate_and_no_other(
    client: mlflow.MlflowClient, run: Any, sample_faces: Path
) -> None:
    parent = client.get_run(run.data.tags["mlflow.parentRunId"])
    run_id = open_candidates(
        client, parent, [NewCandidate(name, name, "lenet", {}) for name in ("lenet-s0", "without a model")]
    )[1]
    with pytest.raises(UserError, match=r"\(without a model\) is not trained yet: its state is waiting"):
        evaluate_candidate(client, run_id, sample_faces, PARAMETERS)
    set_state(client, run_id, State.TRAINED)
    tree.close(client, run_id, "FAILED")  # as Kubeflow's plugin does with the children of a run that failed
    assert evaluate_candidate(client, run_id, sample_faces, PARAMETERS) is None
    ended = client.get_run(run_id)
    assert (ended.info.status, ended.data.tags["candidate.state"]) == ("FAILED", "failed")
    assert ended.data.tags["failure"].startswith("without a model cannot be evaluated: runs:/")


def test_a_test_split_wholly_among_the_training_faces_has_no_test_clean(
    client: mlflow.MlflowClient,
    logged_model: LoggedModel,
    evaluation: Evaluation,
    sample_faces: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def all_leaked(folder: Path | str, split: str) -> Faces:
        faces = read_split(folder, split)
        return Faces(faces.row, faces.emotion, faces.pixels, faces.technique, np.ones(len(faces), bool))

    monkeypatch.setattr("components.evaluate.evaluate.read_split", all_leaked)
    found = evaluate_candidate(client, logged_model.run_id, sample_faces, PARAMETERS)
    assert found is not None
    assert set(found.splits) == {"validation", "test"}
