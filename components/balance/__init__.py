"""The training split, with as many faces of every emotion as is asked for. Validation and test are left as they are."""
