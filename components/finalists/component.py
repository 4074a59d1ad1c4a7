"""finalists: which candidates are evaluated."""

from kfp import dsl

from components import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False, packages_to_install=[])
def finalists(run_ids: list[str], pipeline_run_id: str, owner: str, tracking_uri: str, code_version: str) -> list[str]:
    """Passes on all candidates that trained; of a search, the best trials on validation, and the parent shows it.

    Candidates that failed for a reason of their own are left out.

    Args:
        run_ids: MLflow run ids of the candidates.
        pipeline_run_id: Kubeflow's id of this pipeline run.
        owner: the command that runs this on its own machine; empty on Kubeflow.
        tracking_uri: the MLflow that holds the runs.
        code_version: digest of this step's code, as the pipeline was made from it.

    Returns:
        The MLflow run ids of the finalists: the loop's items. Never none: a run without a candidate left fails here.
    """
    from components.finalists.finalists import choose_finalists
    from components.finalists.show_search import show_search
    from ferkit.search.trials import search_of_trial
    from ferkit.step import step_context
    from ferkit.tracking import tree
    from ferkit.tracking.owner import Owner
    from ferkit.tracking.store import connect

    with step_context("finalists", code_version) as log:
        client = connect(tracking_uri)
        tree.enter(client, tree.parent_of(client, run_ids[0]), Owner.parse(owner, pipeline_run_id))
        search = search_of_trial(client, client.get_run(run_ids[0]))
        chosen = choose_finalists(client, run_ids, log)
        if search is not None:
            show_search(client, tree.parent_of(client, run_ids[0]), search, log)
        return chosen
