"""The prose of the model card: what the model is for, what its data is like, and where it ends.

The form is that of Mitchell et al., "Model Cards for Model Reporting", 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ferkit.data import EMOTIONS, Profile
from ferkit.metrics.evaluation import Evaluation


@dataclass(frozen=True)
class ModelCard:
    """A model card's sentences, by section."""

    intended: Sequence[str]
    faults: Sequence[str]
    limits: Sequence[str]
    licence: Sequence[str]


def model_card(data: Profile, evaluation: Evaluation | None) -> ModelCard:
    """The card of a model.

    Args:
        data: what the model was trained on.
        evaluation: of the challenger; None where its run no longer has it.
    """
    return ModelCard(
        intended=_intended(data.side),
        faults=[*([DRAWN] if data.is_drawn else PHOTOGRAPHS), *_faults(data, evaluation)],
        limits=_limits(data.side),
        licence=[CODE_LICENCE] if data.is_drawn else [CODE_LICENCE, DATA_LICENCE],
    )


DRAWN = (
    "The faces are drawn by this project's own `ferpipe sample`. The metrics show that the pipeline works; they say "
    "nothing about photographs of people."
)

PHOTOGRAPHS = [
    "The faces of FER2013 and its copies were found by web search for words of emotion, and people threw out what "
    "they thought wrong (Goodfellow et al., Challenges in Representation Learning, 2013). The authors put human "
    "accuracy on it at 65 +/- 5%: part of what counts as a mistake here is the label's.",
    "Who is on the pictures, by age, sex or skin colour, is not recorded, so how the metrics differ between people "
    "could not be measured. It is no evidence that they do not.",
]

CODE_LICENCE = "The pipeline's code: Apache-2.0."

DATA_LICENCE = (
    "The pictures of FER2013 come with no licence: they are for research and testing. This page shows some of them, "
    "and a model trained on them derives from them; ask before you publish either."
)


def _intended(side: int) -> list[str]:
    return [
        f"Telling seven posed or plain expressions apart on pictures of ONE upright face, cut out closely, grey, "
        f"{side} x {side} pixels: research, teaching, comparing networks and ways of training.",
        "Not for decisions about people. An expression is not an emotion, and these labels are a stranger's guess. "
        "Inferring emotions at work or at school is prohibited in the European Union (Regulation 2024/1689, Article "
        "5(1)(f)).",
    ]


def _faults(data: Profile, evaluation: Evaluation | None) -> list[str]:
    """What this very data set was found to hold, with its effect on the metrics where that can be told."""
    found = [*_imbalance(data, evaluation), *_leaks(data, evaluation)]
    conflicting = data.duplicates.get("conflicting_labels", {})
    if conflicting.get("rows"):
        found.append(
            f"{conflicting['rows']:,} rows show {conflicting['images']:,} pictures under more than one label: no model "
            "can be right on all of them."
        )
    dropped = data.duplicates.get("dropped", {})
    if any(dropped.values()):
        reasons = ", ".join(f"{count:,} ({reason})" for reason, count in dropped.items() if count)
        found.append(f"Rows that ingest took out of train because of identical pixels: {reasons}.")
    if any(data.rejected.values()):
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in data.rejected.items() if count)
        found.append(f"Rows that could not be used: {reasons}; rejected.csv of the data set lists them.")
    return found


def _imbalance(data: Profile, evaluation: Evaluation | None) -> list[str]:
    counts = data.splits["test"]["per_emotion"]
    rarest = min(EMOTIONS, key=lambda emotion: counts[emotion])
    sentence = f"{rarest} is rare: {counts[rarest]:,} of {sum(counts.values()):,} test faces"
    ends = evaluation.splits["test"].intervals.get(f"recall/{rarest}") if evaluation else None
    if evaluation is None or ends is None:
        return [f"{sentence}."]
    recall = evaluation.splits["test"].per_emotion["recall"][EMOTIONS.index(rarest)]
    return [
        f"{sentence}, so its recall of {recall:.2f} is known only to within {ends.low:.2f} to {ends.high:.2f}, and it "
        "weighs as much in macro-F1 as any other class."
    ]


def _leaks(data: Profile, evaluation: Evaluation | None) -> list[str]:
    leaked = data.splits["test"]["in_train"]
    if not leaked:
        return []
    dropped = data.duplicates.get("policy") == "drop_from_train"
    sentence = (
        f"{leaked:,} test faces have the same pixels as a training row of the source; "
        f"{'those rows left train' if dropped else 'the model was trained on them'}."
    )
    if evaluation is None or "test_clean" not in evaluation.splits:
        return [sentence]
    test, clean = (evaluation.splits[split].metrics["accuracy"] for split in ("test", "test_clean"))
    return [f"{sentence} Accuracy is {test:.3f} with these faces and {clean:.3f} without (test_clean)."]


def _limits(side: int) -> list[str]:
    return [
        "It finds no face in a picture: pass it the face alone. What is not square is cut to its middle square, what "
        f"is larger is scaled to {side} x {side}, colour is turned to grey.",
        "It always answers one of seven: a cat, or contempt, gets one of them too. The probabilities are as far off as "
        "the calibration error above says, on data like the test split, and further on any other.",
        "The interval under a metric covers the luck of the test faces only: not other data, not another training run.",
    ]
