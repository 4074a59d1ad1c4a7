"""The pipeline in kfp's local runner, in this process; see pipeline/local_worker.py."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import Any

from kfp import local
from kfp.local import cache, subprocess_task_handler

from pipeline.dag import pipeline_for
from pipeline.forked_steps import ForkServer


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


def run_pipeline(
    arguments: dict[str, Any],
    *,
    artifacts: str,
    cache_root: str,
    use_cache: bool,
    environment: dict[str, str],
    server: ForkServer | None,
) -> None:
    """Runs the pipeline to its end; leaves as kfp does when a step failed.

    Args:
        arguments: of the pipeline.
        artifacts: kfp's pipeline root.
        cache_root: folder of kfp's cache.
        use_cache: whether ingest and balance may come from an earlier run.
        environment: variables of the run's, for the steps, beside those that this process was started with.
        server: what the steps are forks of; None where each is started by itself.
    """
    # Between tasks kfp logs to the root logger as it finds it: "cache hit" is said nowhere else.
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s - %(levelname)s - %(message)s")
    os.environ.update(environment)
    cache.LocalCache = LastUse
    if server is not None:  # kfp has no setting for how its subprocess is started
        subprocess_task_handler.run_local_subprocess = server.run
    local.init(
        local.SubprocessRunner(use_venv=False), pipeline_root=artifacts, enable_caching=use_cache, cache_root=cache_root
    )
    pipeline_for()(**arguments)
