"""Run in a process of its own: trains candidates argv[1] on folder argv[2], states in argv[3], logged to argv[4]."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from components.train.train import train_candidate
from ferkit.tracking.store import connect

items, folder, state_dir, tracking_uri = sys.argv[1:]
for item in json.loads(items):
    train_candidate(connect(tracking_uri), item, Path(folder), state_dir, logging.getLogger("test"))
