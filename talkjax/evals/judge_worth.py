"""Whether the judges of a report tell anything apart: what their numbers say is said first.

A critic or a SyncNet must hold a clip's own sound nearer to its lips than another clip's, a lip
reader must read more words than who always says the commonest one. One that does not, for it was
trained too little or is at home on other data, gives numbers like any other.
"""

from collections.abc import Mapping
from typing import Any

from talkjax.evals.lip_reading import ALL_WORDS, RECORDED

OWN_OR_ANOTHERS = "ground_truth - ground_truth_shuffled"
# What is asked of a judge -> who it is, in words.
DISTANCES = {
    "sync_distance": "the sync critic",
    "sync_distance_training_critic": "the training's own critic",
    "lse_d": "the SyncNet",
}


def warnings(contents: Mapping[str, Any]) -> list[str]:
    """A line for each judge whose numbers say nothing; of contents as `report.metrics` gives them.

    A single clip has no other's sound, and so no verdict.
    """
    told = contents["differences"].get(OWN_OR_ANOTHERS, {})
    lines = [
        f"{who} does not hold a clip's own sound nearer to its lips than another clip's "
        f"({key}: {_shown(told[key])} apart), so its numbers say nothing here"
        for key, who in DISTANCES.items()
        if key in told and told[key]["high"] >= 0
    ]
    reading = contents.get("lip_reading", {})
    read = reading.get("accuracy", {}).get(RECORDED, {}).get(ALL_WORDS)
    if read is not None and read["low"] <= reading["commonest"][ALL_WORDS]:
        lines.append(
            f"the lip reader reads {_shown(read)} of the words off recorded frames, and who always "
            f"says the commonest word has {reading['commonest'][ALL_WORDS]:.3f} of them, so its "
            "numbers say nothing here"
        )
    return lines


def _shown(interval: Mapping[str, float]) -> str:
    return "{mean:.3f} [{low:.3f}, {high:.3f}]".format(**interval)
