"""The process in which kfp's local runner runs the pipeline: `python -m pipeline.local_worker REQUEST.json`.

A process of its own, because kfp takes over root logging and `print` while it runs, and after a loop never gives them
back.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

import psutil
from kfp import local

from components.open_run.open_run import LOCAL_PROCESS_VARIABLE, process_mark
from pipeline.dag import pipeline_for


def main(request_path: str) -> None:
    """Runs the pipeline that the request describes; kfp's exit status is this process's."""
    request = json.loads(Path(request_path).read_text())
    # Between tasks kfp logs to the root logger as it finds it: "cache hit" is said nowhere else.
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s - %(levelname)s - %(message)s")
    os.environ[LOCAL_PROCESS_VARIABLE] = process_mark(psutil.Process())
    local.init(
        local.SubprocessRunner(use_venv=False),
        pipeline_root=request["artifacts"],
        enable_caching=request["use_cache"],
        cache_root=request["cache"],
    )
    pipeline_for()(**request["arguments"])


if __name__ == "__main__":
    main(sys.argv[1])
