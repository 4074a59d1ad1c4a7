"""The pipeline: how the steps are chained. The same for a run on this machine, in containers and on Kubeflow.

`Dataset` artifacts are folders (see ferkit/data/dataset.py); a candidate is its MLflow run id, from which every
step finds its settings, its parent and its state.
"""

# kfp's decorators make components of functions, and its channels stand for values: a type checker sees neither.
# pyright: reportCallIssue=false, reportArgumentType=false, reportReturnType=false

from collections.abc import Callable
from typing import Any

from kfp import dsl
from kfp.dsl import PipelineConfig, PipelineTask
from kfp.dsl.base_component import BaseComponent

from components.balance.component import balance as balance_step
from components.close_run.component import close_run as close_run_step
from components.ensemble.component import ensemble as ensemble_step
from components.evaluate.component import evaluate as evaluate_step
from components.finalists.component import finalists as finalists_step
from components.ingest.component import ingest as ingest_step
from components.locate.component import locate as locate_step
from components.open_run.component import open_run as open_run_step
from components.profile.component import profile as profile_step
from components.register.component import register as register_step
from components.train.component import train as train_step
from ferkit.code_version import step_version
from pipeline.parameters import Parameters

DEFAULTS = Parameters().dump()

DISPLAY_NAMES = {
    "locate": "Find the CSV's version",
    "open_run": "Open the run in MLflow",
    "ingest": "Read and check the faces",
    "balance": "Balance the classes",
    "profile": "Profile the data",
    "train": "Train a candidate",
    "finalists": "Choose the finalists",
    "evaluate": "Evaluate a finalist",
    "ensemble": "Join finalists into an ensemble",
    "evaluate_ensemble": "Evaluate the ensemble",
    "register": "Register, and gate the best",
    "close_run": "End the run in MLflow",
}
"""What people see in Kubeflow's graph, by task."""

TaskSettings = Callable[[PipelineTask, str], PipelineTask]
"""Says where a task runs: from the task and its step's name, returns the task with a cluster's settings on it."""


def no_task_settings(task: PipelineTask, step: str) -> PipelineTask:
    """Leaves the task as it is: for runs without a cluster."""
    return task


def pipeline_for(
    apply: TaskSettings = no_task_settings, at_a_time: int = 1, settings: PipelineConfig | None = None
) -> BaseComponent:
    """The pipeline, with `apply` on each task, and at most `at_a_time` candidates in training at once.

    Each task carries the digest of its step's code: the cache sees a change, and so does a task that runs other code.
    """

    def step(task: PipelineTask, name: str, cached: bool = False, shown: str = "") -> PipelineTask:
        task.set_display_name(DISPLAY_NAMES[shown or name])
        return apply(task, name) if cached else apply(task, name).set_caching_options(False)

    @dsl.pipeline(
        name="facial-expression",
        display_name="Facial expression: train, evaluate, register",
        pipeline_config=settings,
    )
    def facial_expression(
        csv: str = DEFAULTS["csv"],
        candidates: list[dict[str, Any]] = DEFAULTS["candidates"],
        search: dict[str, Any] = DEFAULTS["search"],
        experiment: str = DEFAULTS["experiment"],
        registered_model: str = DEFAULTS["registered_model"],
        recipe: str = DEFAULTS["recipe"],
        ingest: dict[str, Any] = DEFAULTS["ingest"],
        balance: dict[str, Any] = DEFAULTS["balance"],
        train: dict[str, Any] = DEFAULTS["train"],
        evaluate: dict[str, Any] = DEFAULTS["evaluate"],
        ensemble: dict[str, Any] = DEFAULTS["ensemble"],
        register: dict[str, Any] = DEFAULTS["register"],
        tracking_uri: str = "",
        state_dir: str = "",
        git_commit: str = "",
        parent_run_id: str = "",
        labels: dict[str, Any] = {},  # noqa: B006 (kfp takes it as a constant)
        owner: str = "",
    ):
        """From a CSV of faces to registered models and a verdict on which may become champion.

        1. locate    finds out which version of the CSV this is.
        2. open_run  checks the candidates, or draws a search's trials, and opens their runs in MLflow, under a parent.
        3. ingest    CSV -> checked, de-duplicated faces, split into train, validation and test.
        4. balance   train -> class-balanced train, by augmentation.
        5. profile   pictures and counts of the data, before and after, to the parent run.
        6. train     for each candidate: faces -> model, in its own run.
        7. finalists those candidates that trained; of a search, the best on validation.
        8. evaluate  for each finalist: model -> predictions, metrics per class, report.
        9. ensemble  joins the best finalists into one model, which is evaluated too.
        10. register registers what was evaluated; the gate says whether the best one may become champion.
        11. close_run ends the parent run, whatever happened (exit handler).

        Args:
            csv: the faces; see pipeline/parameters.py for this and for every key of the sections below.
            candidates: what to train, such as [{"architecture": "lenet", "seed": 1}].
            search: in place of candidates, such as {"space": {"architecture": "lenet", "dropout": [0.2, 0.4]}}.
            experiment: MLflow experiment.
            registered_model: registered model that the candidates become versions of; empty for facial-expression, and
                for facial-expression-sample where csv is the drawn sample.
            recipe: notebook or tuned: what fills in every training value left open; goes before that of train.
            ingest: parameters of ingest, such as {"duplicates": "keep"}.
            balance: parameters of balance, such as {"strategy": "none"}.
            train: parameters of train that hold for all candidates, such as {"recipe": "tuned", "epochs": 40}.
            evaluate: parameters of evaluate, such as {"test": false}.
            ensemble: parameters of the ensemble, such as {"weights": "none"}.
            register: parameters of register and its gate, such as {"allowed_loss": 0.02}.
            tracking_uri: the MLflow to log to.
            state_dir: where training keeps its state, so that a retried or resumed run goes on where it was.
            git_commit: commit of the code this was made from.
            parent_run_id: an MLflow run to adopt as the parent; empty for a new one.
            labels: a name, a note and tags of the run in MLflow, which change no result.
            owner: the command that runs this on its own machine; empty on Kubeflow, where a run owns itself.
        """
        # Only artifacts, parameters of the pipeline and the run's id pass unharmed into a loop, in kfp's local runner.
        whose = {"pipeline_run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER, "owner": owner, "tracking_uri": tracking_uri}

        closing = close_run_step(**whose, parent_run_id=parent_run_id, experiment=experiment)
        with dsl.ExitHandler(step(closing, "close_run"), name="pipeline run"):
            located = step(locate_step(csv=csv, code_version=step_version("locate")), "locate")
            opened = step(
                open_run_step(
                    csv=csv,
                    candidates=candidates,
                    search=search,
                    experiment=experiment,
                    registered_model=registered_model,
                    recipe=recipe,
                    ingest=ingest,
                    balance=balance,
                    train=train,
                    evaluate=evaluate,
                    ensemble=ensemble,
                    register=register,
                    source_version=located.output,
                    git_commit=git_commit,
                    parent_run_id=parent_run_id,
                    labels=labels,
                    **whose,
                    code_version=step_version("open_run"),
                ),
                "open_run",
            )

            # Cached by the backend: they are pure, and what changes their result is in their parameters.
            ingested = step(
                ingest_step(
                    csv=csv, source_version=located.output, parameters=ingest, code_version=step_version("ingest")
                ),
                "ingest",
                cached=True,
            ).after(opened)
            balanced = step(
                balance_step(faces=ingested.outputs["faces"], parameters=balance, code_version=step_version("balance")),
                "balance",
                cached=True,
            )
            faces = balanced.outputs["balanced"]

            profiled = step(
                profile_step(
                    faces=ingested.outputs["faces"],
                    balanced=faces,
                    run_ids=opened.output,
                    **whose,
                    code_version=step_version("profile"),
                ),
                "profile",
            )

            with dsl.ParallelFor(opened.output, name="for each candidate", parallelism=at_a_time) as candidate:
                trained = step(
                    train_step(
                        run_id=candidate,
                        faces=faces,
                        state_dir=state_dir,
                        **whose,
                        code_version=step_version("train"),
                    ),
                    "train",
                ).after(profiled)

            chosen = step(
                finalists_step(run_ids=dsl.Collected(trained.output), **whose, code_version=step_version("finalists")),
                "finalists",
            )

            with dsl.ParallelFor(chosen.output, name="for each finalist", parallelism=at_a_time) as finalist:
                evaluated = step(
                    evaluate_step(
                        run_id=finalist,
                        faces=faces,
                        parameters=evaluate,
                        **whose,
                        code_version=step_version("evaluate"),
                    ),
                    "evaluate",
                )

            joined = step(
                ensemble_step(
                    run_ids=dsl.Collected(evaluated.outputs["Output"]),
                    faces=faces,
                    parameters=ensemble,
                    **whose,
                    code_version=step_version("ensemble"),
                ),
                "ensemble",
            )
            evaluated_ensemble = step(
                evaluate_step(
                    run_id=joined.output,
                    faces=faces,
                    parameters=evaluate,
                    **whose,
                    code_version=step_version("evaluate"),
                ),
                "evaluate",
                shown="evaluate_ensemble",
            )

            step(
                register_step(
                    run_ids=dsl.Collected(evaluated.outputs["Output"]),
                    ensemble=evaluated_ensemble.outputs["Output"],
                    faces=faces,
                    parameters=register,
                    **whose,
                    code_version=step_version("register"),
                ),
                "register",
            )

    return facial_expression
