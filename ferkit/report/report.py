"""The report of a pipeline run, which is the model card of its challenger too.

Pure functions of what was found out. What a reader sees is in `templates/`; here is what it is made of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ferkit.addresses import run_address, ui_address, version_address
from ferkit.data import EMOTIONS, SPLITS, Profile
from ferkit.metrics.evaluation import CandidateRun
from ferkit.registry.verdict import TEST_UNREAD, Verdict
from ferkit.report.candidate_page import Mark, scored_parts
from ferkit.report.card import model_card
from ferkit.report.groups import GATED, VALIDATION, seed_groups
from ferkit.report.page import render
from ferkit.tracking import names

if TYPE_CHECKING:
    from ferkit.report.search_section import SearchSection  # brings Optuna, which most runs have no use for


@dataclass(frozen=True)
class Origin:
    """Where the runs of a page are, and the parameters of the pipeline run.

    Attributes:
        tracking_uri: of the MLflow that has them.
        experiment_id: that holds them.
        run_id: of the pipeline run; empty for candidates that were registered without one.
        name: of the pipeline run.
        parameters: of the pipeline run, as logged.
    """

    tracking_uri: str
    experiment_id: str
    run_id: str = ""
    name: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def mlflow(self) -> str:
        """Where a browser finds that MLflow."""
        return ui_address(self.tracking_uri)

    def run_address(self, run_id: str) -> str:
        return run_address(self.tracking_uri, self.experiment_id, run_id)

    def version_address(self, model: str, version: str) -> str:
        return version_address(self.tracking_uri, model, version)


def write_report(
    candidates: Sequence[CandidateRun],
    verdict: Verdict | None,
    data: Profile,
    origin: Origin,
    search: SearchSection | None = None,
) -> str:
    """The report of a pipeline run: verdict, candidates and champion side by side, data, how it was made, model card.

    A search's trials have a section of their own; among the candidates are those of them that were evaluated.

    Args:
        candidates: of the run, best on validation first; those that failed too.
        verdict: of the gate; None where test was left unread: then there is no challenger, and so no model card.
        data: profile of the data set that the candidates were trained on.
        origin: of the run.
        search: that the candidates are trials of; None for none.

    Returns:
        HTML.
    """
    trials = search.run_ids if search else frozenset()
    candidates = [one for one in candidates if one.evaluation or one.run_id not in trials]
    entries = {entry.run_id: entry for entry in verdict.candidates} if verdict else {}
    places = {run_id: place for place, run_id in enumerate(entries)}
    candidates = sorted(candidates, key=lambda candidate: places.get(candidate.run_id, len(places)))
    chosen, champion = (verdict.challenger, verdict.champion) if verdict else (None, None)
    is_best = (lambda one: one.run_id == chosen.run_id) if chosen else (lambda one: one.evaluation is not None)
    best = next(filter(is_best, candidates), None)
    evaluation = best.evaluation if best else None
    comparison, faces = differences(verdict) if verdict else {}, faces_per_class(data)
    return render(
        "report.html.jinja",
        title=f"Version {chosen.version} ({chosen.name}) is {verdict.status}" if chosen and verdict else origin.name,
        candidates=candidates,
        verdict=verdict,
        unread=TEST_UNREAD,
        shown="test" if verdict else "validation",
        entries=entries,
        chosen=chosen,
        champion=champion,
        evaluation=evaluation,
        best=best.name if best else "",
        groups=seed_groups(candidates, GATED if verdict else VALIDATION),
        search=search,
        comparison=comparison,
        reach=_reach(comparison),
        **scored_parts(candidates, champion),
        data=data,
        faces=faces,
        most_faces=max(count for counts in faces.values() for count in counts.values()),
        origin=origin,
        git_commit=candidates[0].tags.get(names.GIT_COMMIT, "") if candidates else "",
        kubeflow_run=candidates[0].tags.get(names.PIPELINE_RUN_ID, "") if candidates else "",
        **parameters_of(candidates),
        card=model_card(data, evaluation) if verdict else None,
    )


def differences(verdict: Verdict) -> dict[str, list[Mark]]:
    """Challenger minus champion, with intervals: what the gate looked at; none without a champion's scores."""
    if verdict.macro_f1 is None or verdict.accuracy is None:
        return {}
    found = {"macro-F1": verdict.macro_f1, "accuracy": verdict.accuracy, **verdict.recall}
    return {
        name: [Mark(each.difference, each.low, each.high, f"{each.difference:+.3f}".replace("-", "\u2212"))]
        for name, each in found.items()
    }


def _reach(comparison: Mapping[str, Sequence[Mark]]) -> float:
    """How far a scale around 0 has to go, in steps of 0.05."""
    ends = (abs(end) for marks in comparison.values() for mark in marks for end in (mark.low, mark.high))
    return math.ceil(max(0.05, *ends, 0.0) * 20) / 20


def faces_per_class(data: Profile) -> dict[str, dict[str, int]]:
    """Faces per emotion: of train from the source, and made by balancing where any were; of validation; of test."""
    made = data.balance.get("made", {}).values()
    balanced = {emotion: sum(of[emotion] for of in made) for emotion in EMOTIONS}
    counts = {split: data.splits[split]["per_emotion"] for split in SPLITS}
    series = {"train, from the source": {name: counts["train"][name] - balanced[name] for name in EMOTIONS}}
    if made:
        series["train, made by balancing"] = balanced
    return series | {"validation": counts["validation"], "test": counts["test"]}


def parameters_of(candidates: Sequence[CandidateRun]) -> dict[str, Any]:
    """Names of the parameters in which candidates differ (`differing`), and the others with their values (`shared`)."""
    values: dict[str, set[str | None]] = {}
    for name in sorted({name for candidate in candidates for name in candidate.parameters}):
        values[name] = {candidate.parameters.get(name) for candidate in candidates}
    return {
        "differing": [name for name, of in values.items() if len(of) > 1],
        "shared": {name: of.pop() for name, of in values.items() if len(of) == 1},
    }
