"""What each step of the pipeline does: one folder per Kubeflow component, readable top to bottom.

The images are placeholders: `ferpipe compile --image` puts the real, immutable address in their place (see
pipeline/kubeflow.py). kfp's local runner never pulls them; it warns about names without "python" in them.
"""

__version__ = "0.2.0"

CPU_IMAGE = "fer-pipeline-python:cpu"
GPU_IMAGE = "fer-pipeline-python:gpu"
