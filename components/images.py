"""The container images that components name.

These are placeholders: `ferpipe compile --image` puts the real, immutable address in their place (see
pipeline/kubeflow.py). kfp's local runner never pulls them; it warns about names without "python" in them.
"""

CPU_IMAGE = "fer-pipeline-python:cpu"
GPU_IMAGE = "fer-pipeline-python:gpu"
