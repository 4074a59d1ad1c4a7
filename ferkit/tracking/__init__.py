"""The MLflow conventions all steps share: run tree, tags, metric names."""
