"""Training a candidate in its own MLflow run: started or resumed, logged while it trains, ended."""

from __future__ import annotations

import csv
import logging
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import numpy as np
from mlflow.entities import Metric, Run

from components.train.event_file import EventFile
from components.train.reuse import FOLDER, reuse_candidate
from ferkit.data import EMOTIONS, Faces, Profile, read_profile, read_split
from ferkit.errors import UserError
from ferkit.search.pruning import Pruned, pruner_of
from ferkit.search.record import decide
from ferkit.store_errors import is_out_of_reach
from ferkit.tracking import candidates, names, tree
from ferkit.tracking.active_run import log_dataset, log_picture, writing_to
from ferkit.tracking.names import State
from ferkit.tracking.tree import close, last_step, set_tags
from ferkit.training.candidate import Candidate
from ferkit.training.hardware import Hardware, choose
from ferkit.training.state import State as TrainingState
from ferkit.training.state import Store, open_state, store_for

if TYPE_CHECKING:
    from ferkit.training.fit import Trained

SPEED = "images_per_second"
"""Of a training: the median of its epochs, logged once."""

DONE = (State.TRAINED, State.EVALUATED, State.PRUNED, State.FAILED)


def train_candidate(
    client: mlflow.MlflowClient, run_id: str, folder: Path, state_dir: str, log: logging.Logger
) -> None:
    """Trains one candidate, puts its model into its run, and ends that.

    A candidate that was trained, or failed for good, is not trained again: its state is a tag. One that fails for a
    reason of its own (it diverged, a setting does not work, an exception that another try would meet again) ends its
    own run as FAILED, with the sentence; the others go on. A search's trial whose values are still open gets them here;
    one that falls behind the others is pruned, and is FINISHED. Where `train.reuse` is set, one that an earlier
    pipeline run trained is reused.

    Args:
        client: of the tracking store that MLflow points at.
        run_id: of the candidate, as `open_run` made it.
        folder: the data set, as `balance` returns it.
        state_dir: a folder or an `s3://` prefix for the state; empty for none.
        log: for a line per epoch.

    Raises:
        UserError: there is no such candidate, or no such data set; or something is out of reach (`OutOfReach`).
    """
    run = client.get_run(run_id)
    name = str(run.info.run_name)
    if candidates.state_of(run) in DONE:
        log.info("%s", f"{name}: {run.data.tags.get(names.FAILURE) or 'is already trained'}")
        return
    try:
        run = decide(client, run, log)  # the values of a trial that a search had left open
    except UserError as error:
        candidates.fail_by(client, run_id, name, error, log)
        return
    name = str(run.info.run_name)
    settings = candidates.settings_of(run)
    profile = read_profile(folder)
    if reuse_candidate(client, run, settings, profile, log):
        return
    train, validation = read_split(folder, "train"), read_split(folder, "validation")
    store = store_for(state_dir, tree.parent_of(client, run_id).info.run_id, run_id)
    history = open_state(store).history
    candidates.start(client, run_id)
    try:
        trained = _train(client, run, Candidate.load(settings), profile, train, validation, store, history, log)
    except Pruned as given_up:
        candidates.set_state(client, run_id, State.PRUNED)
        close(client, run_id)
        if store:
            store.save(TrainingState(history=open_state(store).history))
        log.info("%s", f"{name}: {given_up}")
        return
    except Exception as error:
        if is_out_of_reach(error):
            raise
        candidates.fail_by(client, run_id, name, error, log)
        return
    # In this order: killed in between, it is trained already, and no run says RUNNING for ever.
    candidates.set_state(client, run_id, State.TRAINED)
    close(client, run_id)
    if store:
        store.save(TrainingState(history=trained.history))  # without arrays: nothing is left to train


def _train(
    client: mlflow.MlflowClient,
    run: Run,
    candidate: Candidate,
    profile: Profile,
    train: Faces,
    validation: Faces,
    store: Store | None,
    history: list[dict[str, float]],
    log: logging.Logger,
) -> Trained:
    run_id, name = run.info.run_id, run.info.run_name
    settings = candidate.train
    hardware = choose(settings)  # before anything imports keras
    from components.train.progress import progress_bar
    from ferkit.training.fit import fit

    # The epochs of earlier tries count, too; of those tries' time nothing else is known.
    started = time.monotonic() - sum(epoch["epoch_seconds"] for epoch in history)
    _warn_of_cpu(hardware, log)
    describe_run(client, run_id, profile, hardware)
    mlflow.enable_system_metrics_logging()
    try:
        with writing_to(run_id), EventFile(settings.tensorboard, history) as event_file:
            # Killed between logging an epoch and saving its state, that epoch is trained once more.
            logged = last_step(client, run_id, "train/loss")
            pruner = pruner_of(client, run)

            def on_epoch(number: int, epoch: dict[str, float]) -> None:
                now = int(time.time() * 1000)
                if number > logged:
                    logged_now = {key: value for key, value in epoch.items() if key != SPEED}
                    client.log_batch(
                        run_id, metrics=[Metric(key, value, now, number) for key, value in logged_now.items()]
                    )
                event_file.add(number, epoch)
                log.info("%s: %s", name, as_line(number, settings.epochs, epoch))
                if pruner:
                    pruner.watch(number, epoch[names.EPOCH_MACRO_F1])

            for split, context in (("train", "training"), ("validation", "validation")):
                log_dataset(profile.address, split, profile.splits[split]["digest"], context)
            try:
                if pruner:
                    pruner.recall(epoch[names.EPOCH_MACRO_F1] for epoch in history)
                with progress_bar() as on_step:
                    trained = fit(
                        candidate,
                        train,
                        validation,
                        hardware,
                        weights=class_weights(profile),
                        store=store,
                        on_step=on_step,
                        on_epoch=on_epoch,
                    )
            except Pruned as given_up:
                mlflow.log_metrics({names.PRUNED_EPOCH: given_up.epoch, "train_seconds": time.monotonic() - started})
                raise
            log_results(candidate, trained, validation, time.monotonic() - started)
    finally:
        mlflow.disable_system_metrics_logging()
    best = trained.history[trained.best_epoch - 1]
    log.info(
        "%s: %d epochs, the best is %d: validation accuracy %.3f, macro-F1 %.3f; %.0f images/s on %s",
        name,
        len(trained.history),
        trained.best_epoch,
        best["val/accuracy"],
        best["val/macro_f1"],
        median_speed(trained),
        hardware.name,
    )
    return trained


def describe_run(client: mlflow.MlflowClient, run_id: str, profile: Profile, hardware: Hardware) -> None:
    """On what data and hardware the candidate trains, on its run."""
    tags = {
        names.DATA_SHA256: str(profile.source.get("sha256", "")),
        names.DATA_DIGEST: profile.digest,
        "hardware": hardware.name,
        "precision": hardware.precision,
    }
    set_tags(client, run_id, tags)


def log_results(candidate: Candidate, trained: Trained, validation: Faces, seconds: float) -> None:
    """Model, curves, summary, activations, history and the seconds that it trained, to the active run."""
    from components.train.pictures import draw_activations, draw_curves
    from ferkit.serving.package import log_face_model
    from ferkit.training.build import save_network

    best = trained.history[trained.best_epoch - 1]
    metrics = {f"{names.BEST}/{name}": best[f"val/{name}"] for name in ("loss", "accuracy", "macro_f1")}
    metrics |= {"best_epoch": trained.best_epoch, "parameters": trained.network.count_params()}
    mlflow.log_metrics({**metrics, SPEED: median_speed(trained), "train_seconds": seconds})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_curves(trained.history, trained.best_epoch, candidate, folder / "learning_curves.png")
        log_picture(folder / "learning_curves.png", "learning_curves")
        draw_activations(trained.network, validation.pixels[0], folder / "activations.png")
        lines: list[str] = []
        trained.network.summary(expand_nested=True, line_length=100, print_fn=lambda line, **_: lines.append(line))
        (folder / "summary.txt").write_text("\n".join(lines) + "\n")
        with (folder / "history.csv").open("w", newline="") as file:
            rows = csv.DictWriter(file, ["epoch", *trained.history[0]])
            rows.writeheader()
            rows.writerows({"epoch": number, **epoch} for number, epoch in enumerate(trained.history, 1))
        mlflow.log_artifacts(name, FOLDER)
        save_network(trained.network, candidate, validation.side, folder / "network.keras")
        log_face_model(folder / "network.keras", side=validation.side, example=validation.pixels[:1])


def median_speed(trained: Trained) -> float:
    """Images a second: the median of the epochs, for the first one holds the compiler's time."""
    return float(np.median([epoch[SPEED] for epoch in trained.history]))


def class_weights(profile: Profile) -> np.ndarray | None:
    """What each emotion counts in the loss: float32 (7,); None unless `balance` took the strategy `class_weight`."""
    weights = profile.balance.get("class_weight")
    return np.array([weights[emotion] for emotion in EMOTIONS], np.float32) if weights else None


def as_line(number: int, epochs: int, epoch: Mapping[str, float]) -> str:
    """One epoch, for people."""
    return (
        f"epoch {number}/{epochs}: loss {epoch['train/loss']:.3f}, validation loss {epoch['val/loss']:.3f}, "
        f"accuracy {epoch['val/accuracy']:.3f}, macro-F1 {epoch['val/macro_f1']:.3f}; "
        f"{epoch['images_per_second']:.0f} images/s, {epoch['epoch_seconds']:.1f} s"
    )


def _warn_of_cpu(hardware: Hardware, log: logging.Logger) -> None:
    if hardware.device == "cpu":
        log.warning("no GPU here: training on the %s (require_gpu=true refuses that)", hardware.name)
