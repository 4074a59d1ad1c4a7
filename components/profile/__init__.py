"""Pictures and counts of the data, before and after balancing, for MLflow's parent run."""
