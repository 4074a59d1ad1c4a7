"""Run in a process of its own: trains candidate argv[1] on folder argv[2], its state in argv[3], logged to argv[4]."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from components.tracking.store import connect
from components.train.train import train_candidate

item, folder, state_dir, tracking_uri = sys.argv[1:]
train_candidate(
    connect(tracking_uri), json.loads(Path(item).read_text()), Path(folder), state_dir, logging.getLogger("test")
)
