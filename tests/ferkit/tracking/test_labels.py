"""What a person may say about a run, and what is refused in a sentence."""

from __future__ import annotations

import json

import pytest

from ferkit.errors import UserError
from ferkit.tracking.labels import Labels


def test_labels_come_out_of_the_pipelines_argument_as_they_went_in() -> None:
    labels = Labels.parse(" first try ", "With **mixup**.\n\nSecond.", ["ticket=FER-12", "team/why=a=b", "empty="])
    assert Labels.load(json.loads(json.dumps(labels.dump()))) == labels
    assert (labels.name, labels.tags) == ("first try", {"ticket": "FER-12", "team/why": "a=b", "empty": ""})


def test_without_any_there_are_none() -> None:
    assert Labels().dump() == {}
    assert Labels.load({}) == Labels()


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        (["ticket"], "write key=value"),
        (["=3"], "write key=value"),
        (["a`b=3"], "write key=value"),
        (["mlflow.user=ann"], "mlflow.user is a tag that the pipeline or MLflow sets"),
        (["owner.id=1f"], "owner.id is a tag"),
        (["verdict=approved"], "verdict is a tag"),
        (["a=1", "a=2"], "a is set twice"),
        ([f"a={'x' * 501}"], "at most 250 characters of key and 500 of value"),
    ],
)
def test_a_tag_that_cannot_be_is_refused(tags: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Labels.parse("", "", tags)


def test_a_note_that_leaves_no_room_for_the_description_is_refused() -> None:
    with pytest.raises(UserError, match="--note: at most 1,000 characters"):
        Labels.parse("", "x" * 1_001, [])
