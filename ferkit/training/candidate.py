"""A candidate: one network and everything that decides how it is trained, resolved and checked. Imports no keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from ferkit.errors import UserError, nearest
from ferkit.layers import Layer, merge
from ferkit.networks.architectures import find, names
from ferkit.settings import Settings
from ferkit.training.recipes import read_recipe
from ferkit.training.settings import ResolvedTrain, Train


@dataclass(frozen=True)
class Candidate:
    """A candidate, complete: nothing is left for a recipe to fill in.

    Attributes:
        architecture: name of a module of `ferkit.networks.architectures`.
        train: how it is trained.
        network: that architecture's own parameters.
    """

    architecture: str
    train: ResolvedTrain
    network: Settings

    @property
    def name(self) -> str:
        """A short name for its run: `lenet-tuned-s0`."""
        return f"{self.group}-s{self.train.seed}"

    @property
    def group(self) -> str:
        """The same without its seed: `lenet-tuned`."""
        return f"{self.architecture}-{self.train.recipe}"

    def dump(self) -> dict[str, Any]:
        """Everything, flat, as JSON types: equal candidates have equal dumps, and `load` reads them back."""
        return {
            "architecture": self.architecture,
            **asdict(self.train),
            **self.network.model_dump(mode="json"),
        }

    @classmethod
    def load(cls, dump: Mapping[str, Any]) -> Self:
        """The candidate that `dump` came from."""
        return cls.parse(dump, {})

    @classmethod
    def parse(cls, candidate: Mapping[str, Any], train: Mapping[str, Any]) -> Self:
        """See `parse_candidate`."""
        candidate, train = Train.rename(candidate), Train.rename(train)
        values = {key: value for key, value in candidate.items() if value is not None}
        name = values.get("architecture")
        if name is None:
            raise UserError(f"architecture: a candidate needs one; use one of {', '.join(names())}")
        architecture = find(name)
        Train.parse(train)
        own, shared = architecture.NetworkSettings.model_fields, Train.model_fields
        for key in candidate:  # those with None among them: a misspelt name is one whatever its value
            if key not in ("architecture", *own, *shared):
                raise UserError(
                    f"{key}: neither {name} nor train has such a parameter; {nearest(key, [*own, *shared])}"
                )
        merged = merge(candidate_layers(values, train))
        return cls(
            architecture=name,
            train=ResolvedTrain(**Train.parse({key: merged[key] for key in merged if key in shared}).model_dump()),
            network=architecture.NetworkSettings.parse({key: merged[key] for key in merged if key in own}),
        )


def candidate_layers(candidate: Mapping[str, Any], train: Mapping[str, Any]) -> list[Layer]:
    """What decides a candidate's settings, lowest first: its recipe, section `train`, the candidate itself.

    Args:
        candidate: `architecture`, and any parameter of `Train` or of that architecture.
        train: the section `train`, in part or in full.

    Raises:
        UserError: an unknown recipe, or an optimizer that does not fit.
    """
    layers = [Layer("train", train), Layer("candidate", candidate)]
    merged = merge(layers)
    chosen = Train.parse({key: merged[key] for key in ("recipe", "optimizer") if merged.get(key) is not None})
    recipe, architecture = read_recipe(chosen.recipe), candidate["architecture"]
    name = f"recipe {chosen.recipe}"
    return [
        Layer(name, recipe.train),
        Layer(f"{name}, for {architecture}", recipe.architectures.get(architecture, {})),
        Layer(f"{name}, for {chosen.optimizer}", recipe.optimizers.get(chosen.optimizer, {})),
        *layers,
    ]


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
