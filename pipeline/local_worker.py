"""The process in which kfp's local runner runs the pipeline: `python -m pipeline.local_worker [--forking]`.

A process of its own, because kfp replaces root logging and `print` while it runs, and after a loop never restores
them. The request comes as one line of JSON on standard input, which the command that started this holds open while it
lives: when that ends, by whatever means, this and every step under it end, too.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

from pipeline.forked_steps import ForkServer
from pipeline.worker_process import FORKING


def main() -> None:
    """Runs the pipeline that the request describes; kfp's exit status is this process's."""
    # First: its imports take longer than those of kfp here.
    server = ForkServer() if FORKING in sys.argv[1:] else None
    from pipeline.local_kfp import run_pipeline

    request = sys.stdin.readline()
    threading.Thread(target=_end_with_the_command, name="watch", daemon=True).start()
    if request:
        run_pipeline(**json.loads(request), server=server)


def _end_with_the_command() -> None:
    """Waits for the end of standard input, then kills this process's group, whose leader it is."""
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
