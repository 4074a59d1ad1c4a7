"""Run in a process of its own: trains on the faces of argv[1], its state in argv[2], for argv[3] epochs, on argv[4].

It kills itself as the state of epoch argv[5] is about to be saved, so that this epoch is lost; 0: never.
"""

from __future__ import annotations

import os
import signal
import sys

import numpy as np

from ferkit.data import Faces
from ferkit.training.candidate import parse_candidate
from ferkit.training.hardware import choose
from ferkit.training.state import State, store_at

with np.load(sys.argv[1]) as archive:
    emotion, pixels = archive["emotion"], archive["pixels"]
n = len(emotion)
faces = Faces(np.arange(n, dtype=np.int32), emotion, pixels, np.array(["original"] * n, object), np.zeros(n, bool))
sizes = {"architecture": "lenet", "filters": [8, 16], "dense": 16, "batch_size": 16, "ema_horizon": 0.1}
pieces = {"crop_size": 20, "random_erasing": 0.5, "mixup": 0.2}
candidate = parse_candidate({**sizes, **pieces, "epochs": int(sys.argv[3]), "backend": sys.argv[4]}, {})
hardware = choose(candidate.train)

from ferkit.training.fit import fit  # noqa: E402  (imports keras)

store, dies_at = store_at(sys.argv[2]), int(sys.argv[5])
save = store.save


def save_or_die(state: State) -> None:
    if 0 < len(state.history) == dies_at:
        os.kill(os.getpid(), signal.SIGKILL)
    save(state)


store.save = save_or_die
fit(candidate, faces, faces.take(np.arange(40)), hardware, store=store)
