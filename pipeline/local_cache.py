"""The local runner's cache: entries whose data set is damaged are forgotten, so that it is made again.

kfp takes an entry for good when there is something at its address. It would be taken again by every later run, each of
which would fail.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ferkit.data.splits import find_damage

DATA_SET = "system.Dataset"


def forget_damaged(cache: Path) -> list[str]:
    """Removes the cache's entries that refer to a damaged data set.

    Args:
        cache: kfp's cache folder; it need not be there.

    Returns:
        What was wrong with each.
    """
    found = []
    for entry in sorted(cache.glob("*.json")):
        damage = next(filter(None, map(find_damage, data_sets_of(entry))), "")
        if damage:
            entry.unlink(missing_ok=True)
            found.append(damage)
    return found


def data_sets_of(entry: Path) -> Iterator[Path]:
    """The data set folders that an entry refers to; those that are gone, kfp itself takes for a miss."""
    try:
        outputs: dict[str, Any] = json.loads(entry.read_text())
        kept = [one for one in outputs.values() if isinstance(one, dict) and one.get("schema_title") == DATA_SET]
    except (OSError, ValueError, AttributeError):  # kfp takes an entry that it cannot read for a miss
        return
    yield from (folder for one in kept if (folder := Path(one.get("uri", ""))).exists())
