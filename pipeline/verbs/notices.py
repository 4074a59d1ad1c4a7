"""TensorFlow's notices at its import, which a person who asks for an answer cannot act on."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

NOTICES: Final = (
    b"I0000 ",
    b"WARNING: All log messages before absl::InitializeLog() is called",
    b"INFO: Created TensorFlow Lite XNNPACK delegate",
)


@contextmanager
def without_notices() -> Iterator[None]:
    """Keeps TensorFlow's notices at its import off standard error; anything else is printed at the end.

    Its C++ part writes to the file descriptor before it has read TF_CPP_MIN_LOG_LEVEL.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            others = [line for line in said if not line.startswith(NOTICES)]
            os.write(2, b"".join(others))
