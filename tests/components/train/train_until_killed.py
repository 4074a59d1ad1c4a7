"""Run in a process of its own: trains the candidates argv[1] on argv[2], states in argv[3], logged to argv[4].

It kills itself as the state of epoch argv[5] is about to be saved, so that this epoch is lost; 0: never.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from pathlib import Path

from components.train.train import train_candidate
from ferkit.tracking.store import connect
from ferkit.training.state import FolderStore, State

run_ids, folder, state_dir, tracking_uri, dies_at = sys.argv[1:]
save = FolderStore.save


def save_or_die(self: FolderStore, state: State) -> None:
    if 0 < len(state.history) == int(dies_at):
        os.kill(os.getpid(), signal.SIGKILL)
    save(self, state)


FolderStore.save = save_or_die
for run_id in json.loads(run_ids):
    train_candidate(connect(tracking_uri), run_id, Path(folder), state_dir, logging.getLogger("test"))
