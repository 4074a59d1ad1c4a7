"""ingest: CSV -> checked, de-duplicated faces, split into train, validation and test."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Output

from components import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False, packages_to_install=[])
def ingest(csv: str, source_version: str, parameters: dict[str, Any], code_version: str, faces: Output[Dataset]):
    """Reads the CSV, turns unusable rows away, finds identical images, and writes the three splits.

    Args:
        csv: the faces: a path, s3://, gs:// or http(s)://, plain, .gz, .zip or .tar.gz, or `sample`.
        source_version: which version of it, as `locate` found it; a CSV that has changed since is refused.
        parameters: of ingest, see components/ingest/parameters.py.
        code_version: digest of this step's code, with all that it imports: changed code is not served from the cache.
        faces: the data set folder, train, validation and test, with profile.json and rejected.csv.
    """
    from components.ingest.ingest import ingest_csv, summary
    from components.ingest.parameters import Ingest
    from ferkit.step import step_context

    with step_context("ingest", code_version) as log:
        profile = ingest_csv(csv, faces.path, Ingest.parse(parameters), source_version)
        faces.metadata.update({"data.digest": profile.digest, "data.sha256": profile.source["sha256"]})
        log.info(summary(profile))
