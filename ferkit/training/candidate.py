"""A candidate: one network and everything that decides how it is trained, resolved and checked. Imports no keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from ferkit.errors import UserError, nearest
from ferkit.networks.architectures import find, names
from ferkit.settings import Settings
from ferkit.training.settings import Train

MOVES: Final[dict[str, Any]] = {"rotation": 15.0, "shift": 0.1, "shear": 0.0, "zoom": 0.12, "flip": True}

RECIPES: Final[dict[str, dict[str, Any]]] = {
    # What the notebooks did: grey levels as they are, Adam as it comes, the best epoch by accuracy. Where the two
    # differ, this is lenet's; the rest stands in the RECIPES of multi_kernel, which go before these.
    "notebook": {
        "epochs": 50,
        "batch_size": 128,
        "learning_rate": 0.001,
        "schedule": "constant",
        "warmup": 0.0,
        "weight_decay": 0.0,
        "label_smoothing": 0.0,
        "ema": 0.0,
        "precise_batch_norm": False,
        "select_by": "accuracy",
        "patience": 0,
        "scaling": "none",
        "augment": False,
        "averaging": "none",
        **MOVES,
    },
    "tuned": {
        "epochs": 40,
        "batch_size": 128,
        "learning_rate": 0.002,
        "schedule": "cosine",
        "warmup": 0.05,
        "weight_decay": 0.02,
        "label_smoothing": 0.1,
        "ema": 0.02,
        "precise_batch_norm": True,
        "select_by": "macro_f1",
        "patience": 12,
        "scaling": "symmetric",
        "augment": True,
        "averaging": "flip",
        **MOVES,
    },
}

SGD: Final[dict[str, dict[str, Any]]] = {
    # What a recipe changes for optimizer `sgd`, whose steps are of another size than Adam's.
    "notebook": {"learning_rate": 0.01},
    "tuned": {"learning_rate": 0.1, "weight_decay": 0.005},
}


@dataclass(frozen=True)
class Candidate:
    """A candidate, complete: nothing is left for a recipe to fill in.

    Attributes:
        architecture: name of a module of `ferkit.networks.architectures`.
        train: how it is trained.
        network: that architecture's own parameters.
    """

    architecture: str
    train: Train
    network: Settings

    @property
    def name(self) -> str:
        """A short name for its run: `lenet-tuned-s0`."""
        return f"{self.architecture}-{self.train.recipe}-s{self.train.seed}"

    def dump(self) -> dict[str, Any]:
        """Everything, flat, as JSON types: equal candidates give equal dumps, and `load` reads them back."""
        return {
            "architecture": self.architecture,
            **self.train.model_dump(mode="json"),
            **self.network.model_dump(mode="json"),
        }

    @classmethod
    def load(cls, dump: Mapping[str, Any]) -> Self:
        """The candidate that `dump` came from."""
        return cls.parse(dump, {})

    @classmethod
    def parse(cls, candidate: Mapping[str, Any], train: Mapping[str, Any]) -> Self:
        """See `parse_candidate`."""
        given = {key: value for key, value in candidate.items() if value is not None}
        name = given.pop("architecture", None)
        if name is None:
            raise UserError(f"architecture: a candidate needs one; give one of {', '.join(names())}")
        architecture = find(name)
        Train.parse(train)
        own, shared = architecture.Parameters.model_fields, Train.model_fields
        for key in candidate:  # those with None among them: a misspelt name is one whatever its value
            if key not in ("architecture", *own, *shared):
                raise UserError(
                    f"{key}: neither {name} nor train has such a parameter; {nearest(key, [*own, *shared])}"
                )
        asked = {key: value for key, value in train.items() if value is not None} | {
            key: value for key, value in given.items() if key in shared
        }
        said = Train.parse(asked)
        recipe = said.recipe
        usual = dict(architecture.RECIPES.get(recipe, {}))
        shared_usual = RECIPES[recipe] | {key: value for key, value in usual.items() if key in shared}
        if said.optimizer == "sgd":
            shared_usual |= SGD[recipe]
        return cls(
            architecture=name,
            train=Train.parse(shared_usual | asked),
            network=architecture.Parameters.parse({key: value for key, value in (usual | given).items() if key in own}),
        )


def parse_candidate(candidate: Mapping[str, Any], train: Mapping[str, Any]) -> Candidate:
    """Fills in what is left open: the candidate's own values go before `train`'s, and those before its recipe's.

    Args:
        candidate: `architecture`, and any parameter of `Train` or of that architecture. None means: left open.
        train: the section `train`, in part or in full.

    Raises:
        UserError: no or an unknown architecture, an unknown key (with the nearest right one), or a value that does not
            fit.
    """
    return Candidate.parse(candidate, train)
