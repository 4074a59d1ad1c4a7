"""Run in a process of its own: decides the values of the trials argv[2:] of the MLflow argv[1], one after the other."""

from __future__ import annotations

import logging
import sys

from ferkit.search.record import decide
from ferkit.tracking.store import connect

client = connect(sys.argv[1])
for run_id in sys.argv[2:]:
    decide(client, client.get_run(run_id), logging.getLogger("test"))
