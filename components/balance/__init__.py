"""The training split, with as many faces of every emotion as configured. Validation and test are left as they are."""
