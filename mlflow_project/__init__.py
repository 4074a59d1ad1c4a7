"""The same steps for `mlflow run`: thin entry points, no logic of their own. See MLproject at the top."""
