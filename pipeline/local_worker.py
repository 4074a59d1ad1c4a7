"""The process in which kfp's local runner runs the pipeline: `python -m pipeline.local_worker`.

A process of its own, because kfp replaces root logging and `print` while it runs, and after a loop never restores
them. The request comes as one line of JSON on standard input, which the command that started this holds open while it
lives: when that ends, by whatever means, this and every step under it end, too.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Any

from kfp import local
from kfp.local import cache

from pipeline.dag import pipeline_for


class LastUse(cache.LocalCache):
    """kfp's cache, whose entries have the time when they were last used: `ferpipe clean` goes by that.

    kfp itself only reads an entry that it uses, and has no setting for another class.
    """

    def get(self, key: str) -> dict[str, Any] | None:
        """The outputs that are kept under a key; None where there are none."""
        outputs = super().get(key)
        if outputs is not None:
            with suppress(OSError):  # a folder that may only be read
                os.utime(self._entry_path(key))
        return outputs


def main() -> None:
    """Runs the pipeline that the request describes; kfp's exit status is this process's."""
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_command, name="watch", daemon=True).start()
    # Between tasks kfp logs to the root logger as it finds it: "cache hit" is said nowhere else.
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s - %(levelname)s - %(message)s")
    cache.LocalCache = LastUse
    local.init(
        local.SubprocessRunner(use_venv=False),
        pipeline_root=request["artifacts"],
        enable_caching=request["use_cache"],
        cache_root=request["cache"],
    )
    pipeline_for()(**request["arguments"])


def _end_with_the_command() -> None:
    """Waits for the end of standard input, then kills this process's group, whose leader it is."""
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
