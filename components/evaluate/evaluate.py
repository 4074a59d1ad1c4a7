"""Scores a candidate's model and leaves everything that was found out on the candidate's own MLflow run."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import mlflow
from mlflow.entities import Run
from mlflow.models import get_model_info

from components.evaluate.parameters import Evaluate
from components.evaluate.plots import draw_plots
from components.evaluate.tables import write_tables
from ferkit.data import EMOTIONS, ContentDigest, Faces, Profile, read_profile, read_split
from ferkit.errors import UserError
from ferkit.metrics.classification import Scores
from ferkit.metrics.evaluation import FILE, FOLDER, Evaluation, Mistake, SplitScores, describe_split
from ferkit.serving.load import load_face_model
from ferkit.serving.package import as_base64_png
from ferkit.store_errors import is_out_of_reach
from ferkit.tracking import active_run, candidates, names, tree
from ferkit.tracking.names import State
from ferkit.tracking.reuse import model_address

LOG = logging.getLogger("ferpipe")

LOGGED = ("accuracy", "balanced_accuracy", "macro_f1", "worst_recall", "log_loss")
"""Metrics that are logged of a split other than test."""

SIDE_BY_SIDE = ("confusion_matrix", "per_class", "mistakes")
"""Pictures of the split that is shown, which MLflow's image grid has of many runs at once."""

LOGGED_PER_EMOTION = ("precision", "recall", "f1")


def evaluate_candidate(
    client: mlflow.MlflowClient, run_id: str, folder: Path | str, parameters: Evaluate, log: logging.Logger = LOG
) -> Evaluation | None:
    """Scores the model of a candidate's run and ends the run as FINISHED.

    A model that cannot be scored, for a reason of its own, ends the run as FAILED.

    Args:
        client: of the MLflow that has the run.
        run_id: the candidate's run.
        folder: data set folder.
        parameters: how to score.
        log: for the warning that a model could not be scored.

    Returns:
        What was found out; None for a run that failed, in training or here.

    Raises:
        UserError: no data set folder, or a candidate that is not trained; or something is out of reach (`OutOfReach`).
    """
    run = client.get_run(run_id)
    state = candidates.state_of(run)
    if state == State.PRUNED or candidates.has_failed(run):
        return None
    if state in (State.WAITING, State.RUNNING):
        raise UserError(f"run {run_id} ({run.info.run_name}) is not trained yet: its state is {state}; train it first")
    profile = read_profile(folder)
    splits = ("validation", "test") if parameters.test else ("validation",)
    faces = {split: read_split(folder, split) for split in splits}
    try:
        evaluation = _evaluate(run, profile, faces, parameters, log)
    except Exception as error:
        if is_out_of_reach(error) or not candidates.state_of(run):  # not ours to fail
            raise
        candidates.fail_by(client, run_id, f"{run.info.run_name} cannot be evaluated", error, log)
        return None
    candidates.set_state(client, run_id, State.EVALUATED)
    tree.close(client, run_id)
    return evaluation


def _evaluate(
    run: Run, profile: Profile, faces: dict[str, Faces], parameters: Evaluate, log: logging.Logger
) -> Evaluation:
    model_uri = model_address(run)
    model = load_face_model(model_uri)
    scores = {split: Scores(of.emotion, model.probabilities(of.pixels)) for split, of in faces.items()}
    if "test" in faces:
        clean = ~faces["test"].in_train
        if clean.any():
            faces["test_clean"] = faces["test"].take(clean)
            scores["test_clean"] = Scores(faces["test_clean"].emotion, scores["test"].probabilities[clean])
        else:
            log.info("every test face is among the training faces: there is no test_clean")

    digests = {split: _digest(profile, split, of) for split, of in faces.items()}
    splits = {
        split: describe_split(of, digests[split], parameters.resamples, parameters.seed) for split, of in scores.items()
    }
    shown = "test" if "test" in faces else "validation"
    mistakes = most_confident_mistakes(faces[shown], scores[shown], parameters.mistakes)
    evaluation = Evaluation(profile.side, profile.digest, splits, mistakes)

    with active_run.writing_to(run.info.run_id):
        model_id = get_model_info(model_uri).model_id
        for split, found in splits.items():
            context = "validation" if split == "validation" else "testing"
            dataset = active_run.log_dataset(profile.address, split, digests[split], context)
            mlflow.log_metrics(named_metrics(split, found), step=0, dataset=dataset, model_id=model_id)
        with tempfile.TemporaryDirectory() as made:
            write_tables(Path(made), faces, scores)
            draw_plots(Path(made), faces[shown], scores[shown], evaluation, parameters.seed)
            mlflow.log_artifacts(made, FOLDER)
            for name in SIDE_BY_SIDE:
                if (picture := Path(made) / shown / f"{name}.png").is_file():
                    active_run.log_picture(picture, f"{shown}_{name}")
        mlflow.log_text(evaluation.to_json(), FILE)
    return evaluation


def named_metrics(split: str, found: SplitScores) -> dict[str, float]:
    """The metrics of a split that people compare runs by, under their names in MLflow; evaluation.json has all.

    Per class of test alone, and of no class without a test face: `test/recall/disgust`.
    """
    shown = found.metrics if split == "test" else {name: found.metrics[name] for name in LOGGED}
    named = {names.metric(split, name): value for name, value in shown.items()}
    if split == "test":
        for name in LOGGED_PER_EMOTION:
            of_class = zip(EMOTIONS, found.per_emotion[name], found.per_emotion["support"], strict=True)
            named |= {names.metric(split, name, emotion): float(value) for emotion, value, rows in of_class if rows}
    return named


def most_confident_mistakes(faces: Faces, scores: Scores, count: int) -> list[Mistake]:
    """The misclassified faces, the most confident first; at most `count`."""
    return [
        Mistake(
            row=int(faces.row[index]),
            truth=EMOTIONS[scores.truth[index]],
            prediction=EMOTIONS[scores.prediction[index]],
            probability=float(scores.probabilities[index].max()),
            of_truth=float(scores.probabilities[index, scores.truth[index]]),
            png=as_base64_png(faces.pixels[index]),
        )
        for index in scores.surest_mistakes(count).tolist()
    ]


def _digest(profile: Profile, split: str, faces: Faces) -> str:
    if split in profile.splits:
        return profile.splits[split]["digest"]
    digest = ContentDigest()
    digest.update(faces)
    return digest.hexdigest()
