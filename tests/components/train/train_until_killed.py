"""Run in a process of its own: trains the candidates argv[1] on argv[2], states in argv[3], logged to argv[4]."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from components.train.train import train_candidate
from ferkit.tracking.store import connect

run_ids, folder, state_dir, tracking_uri = sys.argv[1:]
for run_id in json.loads(run_ids):
    train_candidate(connect(tracking_uri), run_id, Path(folder), state_dir, logging.getLogger("test"))
