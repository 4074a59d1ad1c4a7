"""register: every candidate into the model registry, one of them before the gate."""

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Output

from components.images import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False, packages_to_install=[])
def register(
    run_ids: list,
    faces: Input[Dataset],
    run: list,
    parameters: dict,
    tracking_uri: str,
    report: Output[HTML],
) -> str:
    """Registers every scored candidate, and says whether the best one on validation may become champion.

    Args:
        run_ids: MLflow run ids of the candidates; those that were not scored are passed over.
        faces: data set; champion and challenger are scored on its test split.
        run: the loop's items that open_run made; the first one names the parent run.
        parameters: the gate's policy, see components/register/parameters.py.
        tracking_uri: the MLflow that holds runs and registry.
        report: candidates, champion, data and verdict side by side, in one file that opens from disk.

    Returns:
        The verdict as JSON, see components/register/verdict.py.
    """
    import json
    from pathlib import Path

    from components.register.parameters import Register
    from components.register.register import register_candidates, report_run
    from components.step import running
    from components.tracking.store import connect

    with running("register") as log:
        policy = Register.parse(parameters)
        client = connect(tracking_uri)
        verdict = register_candidates(client, run_ids, Path(faces.path), policy, run[0]["parent_run_id"])
        html = report_run(client, run_ids, Path(faces.path), verdict, run[0]["parent_run_id"])
        Path(report.path).write_text(html)
        for note in verdict.notes:
            log.info("note: %s", note)
        log.info("%s", verdict)
        return json.dumps(verdict.to_dict())
