"""What has to stand beside a judge's numbers: who it is, and which imported weights are in it."""

from collections.abc import Mapping
from typing import Any

from talkjax.train.trained import Trained
from talkjax.weights import manifest


def critic_label(who: Mapping[str, Any]) -> str:
    """What has to stand beside the numbers of a judge, of which `subject` says `who` it is."""
    label = f"{who['checkpoint']}, step {who['step']}, weights {who['weights_sha256']}"
    label += accuracy_of(who.get("validation_scores", {}))
    return label + (f", {begun_from(who['began_from'])}" if "began_from" in who else "")


def accuracy_of(scores: Mapping[str, Any]) -> str:
    """A judge's accuracy at the validation of its training, as a part of a label; "" if unknown."""
    accuracy = scores.get("accuracy")
    return "" if accuracy is None else f", validation accuracy {accuracy:.3f}"


def begun_from(origin: Mapping[str, Any]) -> str:
    """Of a training that began from imported weights: which, and under which terms they are."""
    return f"begun from {manifest.label(origin)}, licence {origin['licence']}"


def public_origins(trained: Trained) -> dict[str, dict[str, Any]]:
    """The "origin" or "began_from" of its public weights, for a protocol; {} if it has none."""
    both = {"origin": trained.origin, "began_from": trained.began_from}
    return {name: dict(origin) for name, origin in both.items() if origin is not None}
