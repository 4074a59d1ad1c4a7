"""Parameters of training that any architecture shares.

Where the default is None, the recipe decides (configs/recipes); a value set here, or in a candidate, goes
before the recipe's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from pydantic import Field

from ferkit.networks import Normalization, TestTimeAugmentation
from ferkit.settings import Renamed, Settings
from ferkit.training.schedules import Schedule

Monitor = Literal["accuracy", "macro_f1", "loss"]
Optimizer = Literal["adamw", "sgd"]
Backend = Literal["tensorflow", "jax"]
Precision = Literal["auto", "float32", "bfloat16"]
Compilation = Literal["auto", "xla", "graph"]
Placement = Literal["auto", "device", "host"]


class Train(Settings):
    """How a candidate is trained. A candidate may set any of these, and any parameter of its architecture, itself."""

    section: ClassVar[str] = "train"
    renamed: ClassVar[Mapping[str, Renamed]] = {
        "scaling": Renamed("normalization", {"symmetric": "minus_one_to_one", "face": "per_image"}),
        "averaging": Renamed("tta"),
        "augment": Renamed("random_affine"),
        "select_by": Renamed("monitor"),
        "warmup": Renamed("warmup_ratio"),
        "ema": Renamed("ema_horizon"),
        "faces_on": Renamed("dataset_placement"),
    }

    recipe: str = Field(
        default="tuned",
        description="defaults of the parameters that are not set: `notebook` or `tuned` (configs/recipes)",
    )
    seed: int = Field(
        default=0, ge=0, lt=2**31, description="seed of initial weights, shuffling, dropout and augmentation"
    )
    epochs: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="passes over the training faces; recipes: notebook 50 (multi_kernel 10), tuned 40",
    )
    batch_size: int | None = Field(
        default=None, ge=1, le=65_536, description="faces per step; recipes: 128 (multi_kernel's notebook 1000)"
    )
    optimizer: Optimizer = Field(
        default="adamw",
        description="`adamw`, which without weight decay is Adam, or `sgd` with Nesterov momentum 0.9, which "
        "needs batch norm after every convolution and a long training",
    )
    learning_rate: float | None = Field(
        default=None,
        gt=0,
        le=10,
        description="largest learning rate of the schedule; recipes: 0.001 and 0.002, with sgd 0.01 and 0.1",
    )
    schedule: Schedule | None = Field(
        default=None,
        description="learning-rate schedule after the warm-up: "
        f"{' or '.join(f'`{name}`' for name in get_args(Schedule))}; recipes: notebook constant, tuned cosine",
    )
    warmup_ratio: float | None = Field(
        default=None,
        ge=0,
        le=0.5,
        description="fraction of all steps in which the learning rate rises from 0; recipes: 0 and 0.05",
    )
    weight_decay: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="decoupled weight decay (AdamW, SGDW), not on biases and batch norm; recipes: 0 and 0.02, "
        "with sgd 0 and 0.005",
    )
    label_smoothing: float | None = Field(
        default=None, ge=0, lt=1, description="probability mass spread over all emotions; recipes: 0 and 0.1"
    )
    ema_horizon: float | None = Field(
        default=None,
        ge=0,
        le=0.5,
        description="moving average of the weights: fraction of all steps that it averages over, 0 for none; "
        "recipes: 0, 0.02",
    )
    precise_batch_norm: bool | None = Field(
        default=None,
        description="recompute batch norm's mean and variance, on 2,048 training faces or an eighth of them, for "
        "the weights that are evaluated and exported; recipes: notebook no, tuned yes",
    )
    monitor: Monitor | None = Field(
        default=None,
        description="validation metric that selects the best epoch; recipes: notebook accuracy, tuned macro_f1",
    )
    patience: int | None = Field(
        default=None,
        ge=0,
        description="epochs without improvement before training stops early, 0 for never; recipes: 0 and 12",
    )
    normalization: Normalization | None = Field(
        default=None,
        description="normalization of grey levels inside the model: `none` 0..255, `minus_one_to_one` -1..1, "
        "`per_image` to mean 0 and standard deviation 1 of each face; recipes: notebook none, tuned "
        "minus_one_to_one",
    )
    random_affine: bool | None = Field(
        default=None,
        description="transform each face at random (rotation, shift, shear, zoom, flip), anew in every epoch; "
        "recipes: notebook no (multi_kernel yes), tuned yes",
    )
    rotation: float | None = Field(
        default=None,
        ge=0,
        le=180,
        description="largest random rotation in degrees, either way; recipes: 15 (multi_kernel's notebook 20)",
    )
    shift: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="largest random shift as a fraction of the side, up, down and sideways; recipes: 0.1 "
        "(multi_kernel's notebook 0.2)",
    )
    shear: float | None = Field(
        default=None, ge=0, le=45, description="largest random shear in degrees, either way; recipes: 0"
    )
    zoom: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="random zoom: height and width each by a factor of 1 - zoom to 1 + zoom; recipes: 0.12 "
        "(multi_kernel's notebook 0.2)",
    )
    flip: bool | None = Field(default=None, description="random horizontal flip of half of the faces; recipes: yes")
    crop_size: int = Field(
        default=0,
        ge=0,
        description="side in pixels of the random crop that training takes of each face, anew in every epoch; "
        "prediction takes crops of that size (see tta); 0 for whole faces",
    )
    random_erasing: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="fraction of the faces in which a rectangle, 0.02 to 0.4 of the face, is replaced by noise; "
        "0.5 for long trainings",
    )
    mixup: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="alpha of the beta distribution by whose shares each face is blended with another; 0 for "
        "none, 0.2 for long trainings",
    )
    tta: TestTimeAugmentation | None = Field(
        default=None,
        description="test-time augmentation: views of a face over which the exported model averages the "
        "probabilities. `none`, `flip` (the face, or its centre crop where crop_size is set, and its mirror "
        "image: twice the time), `crops` (centre and corner crops and their mirror images: ten times); recipes: "
        "notebook none, tuned flip",
    )
    backend: Backend = Field(default="tensorflow", description="Keras backend of the training")
    precision: Precision = Field(
        default="auto",
        description="arithmetic of the training; `auto`: bfloat16 on a GPU that has it, and on a CPU that has it "
        "(AVX512-BF16) where TensorFlow trains, else float32. Weights are float32",
    )
    compile: Compilation = Field(
        default="auto",
        description="compilation of the training step by TensorFlow; `auto`: XLA on a GPU, graph on a CPU",
    )
    dataset_placement: Placement = Field(
        default="auto",
        description="where the training faces are stored: on the `device`, whose steps gather their own, or on "
        "the `host`, which sends them batch by batch; `auto`: device, unless they would take more than a quarter "
        "of a GPU's memory",
    )
    deterministic: bool = Field(
        default=True,
        description="bit-equal results for equal seeds (on the same hardware and versions); slower on a GPU",
    )
    require_gpu: bool = Field(
        default=False, description="fail at once where there is no GPU, instead of training on the CPU"
    )
    save_every: int = Field(
        default=1, ge=1, description="epochs between two saved states; a killed training loses at most as many"
    )
    reuse: bool = Field(
        default=False,
        description="reuse an equal candidate that an earlier run of this MLflow trained and evaluated, instead "
        "of training it again",
    )
    tensorboard: bool = Field(
        default=False, description="write TensorBoard's event file to the run's artifacts, live (needs tensorboard)"
    )


@dataclass(frozen=True, kw_only=True)
class ResolvedTrain:
    """A `Train` whose open values its recipe has filled in: what the training code receives."""

    recipe: str
    seed: int
    epochs: int
    batch_size: int
    optimizer: Optimizer
    learning_rate: float
    schedule: Schedule
    warmup_ratio: float
    weight_decay: float
    label_smoothing: float
    ema_horizon: float
    precise_batch_norm: bool
    monitor: Monitor
    patience: int
    normalization: Normalization
    random_affine: bool
    rotation: float
    shift: float
    shear: float
    zoom: float
    flip: bool
    crop_size: int
    random_erasing: float
    mixup: float
    tta: TestTimeAugmentation
    backend: Backend
    precision: Precision
    compile: Compilation
    dataset_placement: Placement
    deterministic: bool
    require_gpu: bool
    save_every: int
    reuse: bool
    tensorboard: bool
