"""Moves what a laptop's MLflow holds (mlflow.db and its artifacts) to this server, while that is new.

    docker compose -f images/compose.yaml up --detach          its first start makes the schema
    docker compose -f images/compose.yaml run --rm --user "$(id -u)" --volume "$PWD:$PWD:ro" mlflow \\
        python /opt/server/move_store.py "$PWD/mlflow.db"

Runs, models, versions, aliases and the record of promotions keep their ids: `models:/…@champion`, and what notes say,
stay true. Artifacts are copied first; then the rows go over in one transaction: all, or none, and the command can be
run again. The laptop's files are only read; nothing may write to them meanwhile.

MLflow 3.17 has no command for this (`mlflow migrate-filestore` goes from old folders to SQLite).
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow.store.model_registry.sqlalchemy_store
import mlflow.store.tracking.sqlalchemy_store
import sqlalchemy as sa
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.db.base_sql_model import Base

ROWS = 1000
"""A statement inserts at most so many."""

RENAMED = {
    "experiments": ("artifact_location", "mlflow-artifacts:/{experiment_id}"),
    "runs": ("artifact_uri", "mlflow-artifacts:/{experiment_id}/{run_uuid}/artifacts"),
    "logged_models": ("artifact_location", "mlflow-artifacts:/{experiment_id}/models/{model_id}/artifacts"),
}
"""Where a server keeps what these tables' rows own."""


class CannotMove(Exception):
    """Why nothing was moved; a sentence for a person."""


def move(laptop: sa.Engine, server: sa.Engine, destination: str) -> dict[str, int]:
    """Copies artifacts, then rows.

    Args:
        laptop: SQLite, whose schema is of the same MLflow as the server's.
        server: its database, with the schema and nothing but the experiment that MLflow makes.
        destination: where the server keeps artifacts, such as s3://bucket/prefix.

    Returns:
        How many rows of each table went over.

    Raises:
        CannotMove: the schemas differ, the server holds something already, or artifacts are elsewhere.
    """
    with laptop.connect() as source, server.begin() as target:
        check(source, target)
        moved = {}
        for uri, new in owned_artifacts(source):
            copy_artifacts(uri, new, destination)
            moved[uri] = new
        target.execute(sa.delete(Base.metadata.tables["experiments"]))  # MLflow's own, which the laptop has too
        counts = {
            table.name: copy_rows(source, target, table, moved)
            for table in Base.metadata.sorted_tables
            if table.name not in ("workspaces", "scheduler_leases", "job_locks", "jobs")
        }
        for table in Base.metadata.sorted_tables:
            set_sequences(target, table)
    return {name: count for name, count in counts.items() if count}


def check(source: sa.Connection, target: sa.Connection) -> None:
    """Refuses what would not go over whole."""
    ask = sa.text("SELECT version_num FROM alembic_version")
    here, there = source.execute(ask).scalar(), target.execute(ask).scalar()
    if here != there:
        raise CannotMove(
            f"the laptop's store is of another MLflow than this server (schema {here}, not {there}); back it up, then "
            f"`mlflow db upgrade sqlite:///mlflow.db` with MLflow {mlflow.__version__}"
        )
    tables = Base.metadata.tables
    for name in ("runs", "registered_models", "logged_models"):
        if count := target.execute(sa.select(sa.func.count()).select_from(tables[name])).scalar():
            raise CannotMove(
                f"this server holds {count} {name.replace('_', ' ')} already; a laptop's store goes to a new server, "
                "before accounts are made; from a second laptop copy the models that matter (docs/registry.md)"
            )


def owned_artifacts(source: sa.Connection) -> Iterator[tuple[str, str]]:
    """Where runs and logged models keep their files, and where the server will."""
    for name in ("runs", "logged_models"):
        column, pattern = RENAMED[name]
        for row in source.execute(sa.select(Base.metadata.tables[name])).mappings():
            yield row[column], pattern.format(**row)


def copy_artifacts(uri: str, new: str, destination: str) -> None:
    """Copies a run's or a model's folder; nothing where it has none."""
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file"):
        raise CannotMove(f"{uri}: these artifacts are not on this laptop; a store of local files can be moved")
    folder = Path(unquote(parts.path))
    if folder.is_dir():
        get_artifact_repository(f"{destination.rstrip('/')}{urlsplit(new).path}").log_artifacts(str(folder))


def copy_rows(source: sa.Connection, target: sa.Connection, table: sa.Table, moved: dict[str, str]) -> int:
    """Copies a table, artifacts under their new addresses; how many rows."""
    count = 0
    for rows in source.execute(sa.select(table)).mappings().partitions(ROWS):
        target.execute(sa.insert(table), [renamed(table.name, dict(row), moved) for row in rows])
        count += len(rows)
    return count


def renamed(table: str, row: dict, moved: dict[str, str]) -> dict:
    """The row as the server would have written it."""
    if table in RENAMED:
        column, pattern = RENAMED[table]
        row[column] = pattern.format(**row)
    if table == "model_versions":  # of a run's artifact or of a logged model; sources such as models:/m-… stay
        for column in ("source", "storage_location"):
            row[column] = under_new_address(row[column], moved)
    return row


def under_new_address(address: str | None, moved: dict[str, str]) -> str | None:
    """The address in the folder that now holds it."""
    for old, new in moved.items():
        if address and (address == old or address.startswith(f"{old}/")):
            return new + address[len(old) :]
    return address


def set_sequences(target: sa.Connection, table: sa.Table) -> None:
    """Lets PostgreSQL go on counting after the ids that were copied."""
    for column in table.primary_key.columns:
        if isinstance(column.type, sa.Integer):
            sequence = target.execute(
                sa.text("SELECT pg_get_serial_sequence(:table, :column)"), {"table": table.name, "column": column.name}
            ).scalar()
            if sequence:
                highest = target.execute(sa.select(sa.func.max(column))).scalar()
                target.execute(sa.select(sa.func.setval(sequence, max(highest or 0, 1))))


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="the laptop's mlflow.db")
    store = parser.parse_args().store.absolute()
    if not store.is_file():
        sys.exit(f"move_store: {store}: there is no such file")
    laptop = sa.create_engine(f"sqlite:///file:{store}?mode=ro&uri=true")
    server = sa.create_engine("postgresql+psycopg2://")
    try:
        counts = move(laptop, server, os.environ["MLFLOW_ARTIFACTS_DESTINATION"])
    except CannotMove as error:
        sys.exit(f"move_store: {error}")
    print("moved " + ", ".join(f"{count} {name}" for name, count in counts.items()))


if __name__ == "__main__":
    main()
