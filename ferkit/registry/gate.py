"""Judges a registered version: scores it and today's champion on the same test rows; may it become champion?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
import numpy as np

from ferkit.data import EMOTIONS, Faces, Profile, read_profile, read_split
from ferkit.errors import UserError
from ferkit.metrics.classification import (
    accuracy_of_confusions,
    confusion_matrix,
    macro_f1_of_confusions,
    recalls_of_confusions,
)
from ferkit.metrics.intervals import confusions_of_joint, joint_counts
from ferkit.metrics.paired import Difference, compare_on_same_rows
from ferkit.registry import versions
from ferkit.registry.criteria import below_floors, worse_than_allowed
from ferkit.registry.fingerprints import find_trained_on
from ferkit.registry.origins import test_digest_of
from ferkit.registry.promotion import now
from ferkit.registry.settings import Register
from ferkit.registry.state import RegistryState
from ferkit.registry.verdict import APPROVED, NO_CHAMPION, REJECTED, Scored, Verdict
from ferkit.registry.versions import Version
from ferkit.serving.load import load_face_model
from ferkit.store_errors import is_out_of_reach
from ferkit.tracking import names


def decide(
    client: mlflow.MlflowClient, version: Version, state: RegistryState, faces: Path, policy: Register
) -> Verdict:
    """Scores a version and today's champion on the same test rows and applies the policy. Changes nothing.

    A champion that cannot be scored (deleted, does not load, takes faces of another size) blocks: a store that is out
    of reach for a moment must not let a worse model through.

    Args:
        client: of the MLflow that holds the versions.
        version: the one to judge.
        state: who is champion.
        faces: data set folder; its test split is used.
        policy: of the gate.

    Raises:
        UserError: the version itself is the champion, or cannot be scored.
    """
    if version.number == state.champion:
        raise UserError(f"version {version.number} is the champion: there is nothing to compare it with; gate another")
    profile, test = read_profile(faces), read_split(faces, "test")
    answers = _answers(version, test)
    confusion = confusion_matrix(test.emotion, answers)
    floors = below_floors(confusion, policy)
    rejections, notes = list(floors), _say_empty_classes(confusion)
    scored, found, unseen = None, None, None

    if state.champion is None:
        grounds = ["clears the floors; there is no champion to compare with yet"]
    else:
        champion = versions.find_version(client, state.champion, version.model)
        try:
            champion_answers = _champion_answers(champion, state.champion, test)
        except UserError as error:
            rejections.append(
                f"champion version {state.champion} cannot be scored, which blocks ({error}); gate again "
                "when it can, or go back with `ferpipe rollback`"
            )
            grounds = []
        else:
            assert champion is not None
            joint = joint_counts(test.emotion, champion_answers, answers)
            found = compare_on_same_rows(joint, policy.resamples, policy.seed, policy.confidence)
            scored = _scored(client, champion, confusions_of_joint(joint)[0])
            rejections += worse_than_allowed(found, policy)
            grounds = [
                f"clears the floors, and against champion version {champion.number} macro-F1 is {found.macro_f1}, "
                "with no class ruined"
            ]
            notes += _say_other_data(client, champion, profile.digest, profile.splits["test"]["digest"])
            seen = _Seen(find_trained_on(client, champion, test.pixels), find_trained_on(client, version, test.pixels))
            unseen = _compare_unseen(test, champion_answers, answers, seen, policy)
            notes += _say_seen(champion, version, seen, unseen)
    return replace(
        _uncompared(client, version, profile, len(test), confusion, policy),
        status=REJECTED if rejections else APPROVED,
        reasons=tuple(rejections or grounds),
        notes=tuple(notes),
        champion=scored,
        compared_with=state.compared_with,
        macro_f1=found.macro_f1 if found else None,
        accuracy=found.accuracy if found else None,
        recall=found.recall if found else {},
        unseen=unseen,
    )


def decide_champion(client: mlflow.MlflowClient, version: Version, faces: Path, policy: Register) -> Verdict:
    """The verdict on a version that is the champion: it stays what it is. It is scored, and compared with nothing."""
    profile, test = read_profile(faces), read_split(faces, "test")
    confusion = confusion_matrix(test.emotion, _answers(version, test))
    return replace(
        _uncompared(client, version, profile, len(test), confusion, policy),
        reasons=(f"version {version.number}, the best of this run on validation, is the champion",),
        compared_with=version.number,
    )


def _uncompared(
    client: mlflow.MlflowClient, version: Version, profile: Profile, rows: int, confusion: np.ndarray, policy: Register
) -> Verdict:
    """A version's metrics on the test rows, before it was compared with anything."""
    return Verdict(
        status=APPROVED,
        reasons=(),
        notes=tuple(_say_empty_classes(confusion)),
        challenger=_scored(client, version, confusion),
        champion=None,
        compared_with=NO_CHAMPION,
        macro_f1=None,
        accuracy=None,
        recall={},
        unseen=None,
        rows=rows,
        test_digest=profile.splits["test"]["digest"],
        data_digest=profile.digest,
        policy=policy,
        at=now(),
        model=version.model,
    )


@dataclass(frozen=True)
class _Seen:
    """Which test rows the models were trained on, bool (n,); None where that is not known."""

    champion: np.ndarray | None
    challenger: np.ndarray | None

    def by_neither(self, rows: int) -> np.ndarray:
        """bool (n,): the rows that no model is known to have been trained on."""
        unseen = np.ones(rows, bool)
        for seen in (self.champion, self.challenger):
            if seen is not None:
                unseen &= ~seen
        return unseen


def _answers(version: Version, test: Faces) -> np.ndarray:
    """Labels 0..6 (n,) that a version predicts for the test faces."""
    return load_face_model(version.uri).probabilities(test.pixels).argmax(axis=1)


def _champion_answers(champion: Version | None, number: str, test: Faces) -> np.ndarray:
    if champion is None:
        raise UserError(f"version {number} was deleted from the registry")
    return _answers(champion, test)


def _scored(client: mlflow.MlflowClient, version: Version, confusion: np.ndarray) -> Scored:
    recalls = recalls_of_confusions(confusion, absent=np.nan).tolist()
    return Scored(
        version=version.number,
        run_id=version.run_id,
        name=name_of(client, version),
        accuracy=float(accuracy_of_confusions(confusion)),
        macro_f1=float(macro_f1_of_confusions(confusion)),
        recall={
            emotion: None if np.isnan(recall) else recall for emotion, recall in zip(EMOTIONS, recalls, strict=True)
        },
    )


def name_of(client: mlflow.MlflowClient, version: Version) -> str:
    """The name of the run that a version came from; its number where that run is gone."""
    try:
        return client.get_run(version.run_id).info.run_name or version.number
    except mlflow.MlflowException as error:
        if is_out_of_reach(error):
            raise
        return version.number


def _say_empty_classes(confusion: np.ndarray) -> list[str]:
    absent = [emotion for emotion, faces in zip(EMOTIONS, confusion.sum(axis=-1), strict=True) if not faces]
    if not absent:
        return []
    return [f"no test row is {' or '.join(absent)}: nothing is known about that, and it counts as 0 in macro-F1"]


def _say_other_data(client: mlflow.MlflowClient, champion: Version, data_digest: str, test_digest: str) -> list[str]:
    """What differs between the champion's data and today's, a sentence each."""
    trained_on, judged_on = champion.tags.get(names.DATA_DIGEST, ""), test_digest_of(client, champion)
    sentences = []
    if trained_on and trained_on != data_digest:
        sentences.append(
            f"champion version {champion.number} was trained on other data (digest {trained_on[:8]}, today's "
            f"{data_digest[:8]})"
        )
    if judged_on and judged_on != test_digest:
        sentences.append(
            f"champion version {champion.number} was judged on another test split (digest {judged_on[:8]}, today's "
            f"{test_digest[:8]}); both were scored on today's"
        )
    return sentences


def _compare_unseen(
    test: Faces, champion: np.ndarray, challenger: np.ndarray, seen: _Seen, policy: Register
) -> Difference | None:
    """The difference in macro-F1 on the rows that neither was trained on; None when that is all of them, or none."""
    unseen = seen.by_neither(len(test))
    if unseen.all() or not unseen.any():
        return None
    joint = joint_counts(test.emotion[unseen], champion[unseen], challenger[unseen])
    return compare_on_same_rows(joint, policy.resamples, policy.seed, policy.confidence).macro_f1


def _say_seen(champion: Version, version: Version, seen: _Seen, unseen: Difference | None) -> list[str]:
    if seen.champion is None:
        return [
            f"whether champion version {champion.number} was trained on some of these test rows is not known: its run "
            "kept no list of its training faces"
        ]
    challenger = 0 if seen.challenger is None else int(seen.challenger.sum())
    if not seen.champion.any() and not challenger:
        return []
    without = f"without those rows the difference in macro-F1 is {unseen}" if unseen else "no other rows are left"
    return [
        f"of {len(seen.champion):,} test rows, champion version {champion.number} was trained on "
        f"{int(seen.champion.sum()):,} and version {version.number} on {challenger:,}; {without}"
    ]
