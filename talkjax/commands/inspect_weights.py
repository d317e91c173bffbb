"""`talkjax inspect weights`: what a checkpoint holds, and where imported weights are from."""

import argparse
import json
from typing import Any


def run(args: argparse.Namespace) -> int:
    """Prints nets with their numbers of values, step, fingerprint, and the manifest."""
    from talkjax.train.checkpoint import load_trained
    from talkjax.train.trained import fingerprint
    from talkjax.weights.manifest import as_text, count_values

    trained = load_trained(args.checkpoint, step=args.step)
    facts: dict[str, Any] = {
        "checkpoint": str(args.checkpoint),
        "method": str(trained.config.method),
        "step": trained.step,
        "weights": fingerprint(trained.params),
        "parameters": {net: count_values(tree) for net, tree in trained.params.items()},
        "scores": trained.scores,
        "origin": trained.origin,
        "began_from": trained.began_from,
    }
    if args.json:
        print(json.dumps(facts))
        return 0
    nets = ", ".join(f"{net} {count:,}" for net, count in facts["parameters"].items())
    print(f"{args.checkpoint}: method {facts['method']}, step {facts['step']}")
    print(f"weights  {facts['weights']}, parameters: {nets}")
    for name, value in sorted(trained.scores.items()):
        print(f"{name}  {value:.4f}")
    if trained.origin is None:
        begun = "" if trained.began_from is None else ", begun from imported weights:"
        print(f"trained with TalkJAX{begun}")
    if trained.public_origin is not None:
        print("\n".join(as_text(trained.public_origin)))
    return 0
