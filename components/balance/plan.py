"""Which new faces are made: how many of each emotion, from which parents, by which technique.

Each emotion's parents are put into a random circle, and its new faces are dealt out along it, round after round. So no
parent has more than one child more than another, and the faces that one technique makes come from as many different
parents as there are. The plan holds 9 bytes per training face, whatever number of faces is made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from components.balance.draws import key_of
from components.balance.parameters import Balance
from components.balance.techniques import TECHNIQUES
from ferkit.data import EMOTIONS
from ferkit.errors import UserError

COPY = "copy"
"""What `oversample` makes: the technique in a balanced data set of a face that repeats its parent's pixels."""


@dataclass(frozen=True)
class Plan:
    """What is to be made from the faces of a training split.

    Attributes:
        emotion: uint8 (n,), of every training face in the split's order.
        place: int64 (n,), its place 0, 1, … in its emotion's circle.
        quotas: per technique, int64 (7,): how many faces of each emotion it makes.
    """

    emotion: np.ndarray
    place: np.ndarray
    quotas: dict[str, np.ndarray]

    @property
    def made(self) -> np.ndarray:
        """int64 (7,): new faces per emotion."""
        return sum(self.quotas.values(), np.zeros(len(EMOTIONS), np.int64))

    def children(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """The new faces whose parents are the training faces start..stop-1.

        Returns:
            Position of the parent in the split, int64 (m,), rising; and which child of its parent it is: 0, 1, ….
        """
        emotion, place = self.emotion[start:stop], self.place[start:stop]
        parents = np.bincount(self.emotion, minlength=len(EMOTIONS))
        rounds = np.maximum(-(-(self.made[emotion] - place) // parents[emotion]), 0)
        parent = np.repeat(np.arange(start, stop), rounds)
        first = np.repeat(np.cumsum(rounds) - rounds, rounds)
        return parent, np.arange(len(parent)) - first

    def techniques(self, parent: np.ndarray, child: np.ndarray) -> np.ndarray:
        """The technique that makes each child: int64 (m,), a position in `quotas`."""
        emotion = self.emotion[parent]
        parents = np.bincount(self.emotion, minlength=len(EMOTIONS))
        turn = self.place[parent] + child * parents[emotion]
        ends = np.cumsum(np.array(list(self.quotas.values())), axis=0)  # (techniques, 7)
        return (turn >= ends[:, emotion]).sum(axis=0)


def plan_new_faces(emotion: np.ndarray, parameters: Balance) -> Plan:
    """Plans the new faces of `augmented_oversampling` and `oversample`.

    Args:
        emotion: uint8 (n,), of every training face.
        parameters: strategy, target, mix and seed.

    Raises:
        UserError: an emotion has no training face, so none can be made from it.
    """
    counts = np.bincount(emotion, minlength=len(EMOTIONS))
    for name, count in zip(EMOTIONS, counts, strict=True):
        if not count:
            raise UserError(
                f"train has no face of {name!r}, so {parameters.strategy!r} can make none; "
                "use a CSV that has some, or set balance.strategy to none"
            )
    missing = np.maximum((parameters.per_class or counts.max()) - counts, 0)
    if parameters.strategy == "oversample":
        quotas = {COPY: missing}
    else:
        shares = {technique: parameters.mix.get(technique, 0.0) for technique in TECHNIQUES}
        per_emotion = [_share_out(int(number), shares, int(n)) for number, n in zip(missing, counts, strict=True)]
        quotas = {technique: np.array([quota[technique] for quota in per_emotion]) for technique in TECHNIQUES}
    return Plan(emotion, _circle(emotion, parameters.seed), quotas)


def _circle(emotion: np.ndarray, seed: int) -> np.ndarray:
    """A random place 0, 1, … for each face among those of its emotion."""
    place = np.empty(len(emotion), np.int64)
    for label in range(len(EMOTIONS)):
        members = np.flatnonzero(emotion == label)
        place[members[np.argsort(key_of(seed, label, members), kind="stable")]] = np.arange(len(members))
    return place


def _share_out(number: int, shares: Mapping[str, float], parents: int) -> dict[str, int]:
    """`number` new faces of one emotion, shared out among the techniques: sums to `number` exactly.

    A technique that does not vary gets no more than one per parent, and the others what it cannot take; if there are no
    others, it repeats itself.
    """
    quotas = dict.fromkeys(shares, 0)
    capped = [technique for technique, share in shares.items() if share and not TECHNIQUES[technique].varies]
    varying = {technique: share for technique, share in shares.items() if TECHNIQUES[technique].varies}
    if sum(varying.values()):
        for technique in capped:
            quotas[technique] = min(int(number * shares[technique] / sum(shares.values())), parents)
        shares = varying
    left = number - sum(quotas.values())
    total, assigned, so_far = sum(shares.values()), 0, 0.0
    for technique, share in shares.items():
        so_far += share
        upto = round(left * so_far / total)
        quotas[technique] += upto - assigned
        assigned = upto
    return quotas
