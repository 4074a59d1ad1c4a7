"""balance: the training split, with as many faces of every emotion as is asked for."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Output

from components.images import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False, packages_to_install=[])
def balance(faces: Input[Dataset], code_version: str, parameters: dict, balanced: Output[Dataset]):
    """Balances the classes of the training split; validation and test are copied as they are. Pure: cached.

    Args:
        faces: data set folder of `ingest`.
        code_version: digest of the code; a change of it is what makes the cache forget.
        parameters: see components/balance/parameters.py.
        balanced: data set folder with all three splits, the training split balanced.
    """
    from components.balance.balance_classes import balance_classes, describe_change
    from components.balance.parameters import Balance
    from components.faces import read_profile
    from components.step import running

    with running("balance") as log:
        settings = Balance.parse(parameters)
        profile = balance_classes(faces.path, balanced.path, settings)
        balanced.metadata["data.digest"] = profile.digest
        log.info(describe_change(read_profile(faces.path), profile))
