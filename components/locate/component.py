"""locate: which version of the CSV this is."""

from kfp import dsl

from components import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False, packages_to_install=[])
def locate(csv: str, code_version: str) -> str:
    """Finds out which version of the CSV is there now. Never cached: it is what makes caching ingest safe.

    Args:
        csv: the faces: a path, s3://, gs:// or http(s)://, or `sample`.
        code_version: digest of this step's code, as the pipeline was made from it.

    Returns:
        What changes when the CSV's bytes change: sha256 of a file as it lies, or S3's VersionId or ETag, or
        Google's generation, with the size.
    """
    from ferkit.data.source import find_source
    from ferkit.step import step_context

    with step_context("locate", code_version) as log:
        source = find_source(csv)
        version = source.version()
        log.info("%s is %s", source.address, version)
        return version
