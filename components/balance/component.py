"""balance: the training split, with as many faces of every emotion as configured."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Output

from components import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False, packages_to_install=[])
def balance(faces: Input[Dataset], parameters: dict[str, Any], code_version: str, balanced: Output[Dataset]):
    """Balances the classes of the training split; validation and test are copied as they are. Pure: cached.

    Args:
        faces: data set folder of `ingest`.
        parameters: see components/balance/parameters.py.
        code_version: digest of this step's code, with all that it imports: changed code is not served from the cache.
        balanced: data set folder with all three splits, the training split balanced.
    """
    from components.balance.balance_classes import balance_classes, describe_change
    from components.balance.parameters import Balance
    from ferkit.data import read_profile
    from ferkit.step import step_context

    with step_context("balance", code_version) as log:
        settings = Balance.parse(parameters)
        profile = balance_classes(faces.path, balanced.path, settings)
        balanced.metadata["data.digest"] = profile.digest
        log.info(describe_change(read_profile(faces.path), profile))
