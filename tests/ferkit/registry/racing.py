"""Many processes that promote at once: `python racing.py ADDRESS KIND VERSION...` prints what each was told, as JSON.

KIND is `start`: all start together and run as they will; or `claim`: each waits, just before it writes to the ledger,
until all have come that far, so that every one of them has found the way free. Forked after the imports: twenty
interpreters that import MLflow would take half a minute.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from multiprocessing.synchronize import Barrier

import mlflow.store.model_registry.sqlalchemy_store
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401

from ferkit.errors import UserError
from ferkit.registry.ledger import Entry, Ledger
from ferkit.registry.promotion import promote
from ferkit.tracking.store import connect


def run(address: str, kind: str, version: str, barrier: Barrier, told: multiprocessing.SimpleQueue) -> None:
    os.environ["FERPIPE_USER"] = f"racer-{version}"
    claim = Ledger.claim

    def claim_together(self: Ledger, entry: Entry) -> Entry:
        barrier.wait(60)
        return claim(self, entry)

    if kind == "claim":
        Ledger.claim = claim_together
    client = connect(address)
    if kind == "start":
        barrier.wait(60)
    try:
        told.put((version, "won", promote(client, version).sentence))
    except UserError as error:
        told.put((version, "lost", str(error)))
    except BaseException as error:
        told.put((version, "broke", repr(error)))


def main(address: str, kind: str, *versions: str) -> None:
    context = multiprocessing.get_context("fork")
    barrier, told = context.Barrier(len(versions)), context.SimpleQueue()
    racers = [context.Process(target=run, args=(address, kind, version, barrier, told)) for version in versions]
    for racer in racers:
        racer.start()
    print(json.dumps([told.get() for _ in racers]))
    for racer in racers:
        racer.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
