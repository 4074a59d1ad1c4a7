"""What a person reads on a registered model's page in MLflow: Markdown."""

from __future__ import annotations

from typing import Final

OF_0_1: Final = (
    "Tells seven facial expressions apart: angry, disgust, fear, happy, sad, surprise, neutral. `champion` is the "
    "version to use, `challenger` the last one approved to take its place. A version's tags say how it was judged."
)
"""What the first releases wrote there."""


def describe_model(model: str) -> str:
    """What a registered model is, how to load it, and how one of its versions becomes champion."""
    paragraphs = (  # each on one line: MLflow's page breaks lines where the text does
        "Tells seven facial expressions apart: angry, disgust, fear, happy, sad, surprise, neutral. Takes grey faces, "
        "answers with the emotion and a probability for each.",
        "**To use it**: alias `champion`.",
        f'    model = mlflow.pyfunc.load_model("models:/{model}@champion")\n'
        '    model.predict(pandas.DataFrame({"face": [face]}))      # uint8 (48, 48), or a picture\'s bytes\n'
        f"    ferpipe predict FACES --model {model}@champion",
        "**How a version becomes champion**: every evaluated candidate of a pipeline run is registered. The gate "
        "judges one of them, the best on validation: scored on the same test faces as the champion of that moment, it "
        "is approved or rejected. Approved, it gets the alias `challenger`, and waits for a person: "
        f"`ferpipe promote --model {model}`. `ferpipe rollback` brings the champion before back; `ferpipe history` "
        "says who promoted what, when and why. An alias that is moved by hand is not on that record.",
        "**A version's description** says how it was judged, and on what data, with links to its run and its pipeline "
        "run.",
    )
    return "\n\n".join(paragraphs) + "\n"
