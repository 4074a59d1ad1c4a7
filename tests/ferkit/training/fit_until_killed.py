"""Run in a process of its own: trains on the faces of argv[1], its state in argv[2], for argv[3] epochs, on argv[4]."""

from __future__ import annotations

import sys

import numpy as np

from ferkit.data import Faces
from ferkit.training.candidate import parse_candidate
from ferkit.training.hardware import choose
from ferkit.training.state import store_at

with np.load(sys.argv[1]) as archive:
    emotion, pixels = archive["emotion"], archive["pixels"]
n = len(emotion)
faces = Faces(np.arange(n, dtype=np.int32), emotion, pixels, np.array(["original"] * n, object), np.zeros(n, bool))
sizes = {"architecture": "lenet", "filters": [8, 16], "dense": 16, "batch_size": 16, "ema_horizon": 0.1}
pieces = {"crop_size": 20, "random_erasing": 0.5, "mixup": 0.2}
candidate = parse_candidate({**sizes, **pieces, "epochs": int(sys.argv[3]), "backend": sys.argv[4]}, {})
hardware = choose(candidate.train)

from ferkit.training.fit import fit  # noqa: E402  (imports keras)

fit(candidate, faces, faces.take(np.arange(40)), hardware, store=store_at(sys.argv[2]))
