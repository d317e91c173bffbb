"""What an Audio-Lip Memory has learned: how its slots are used, by which words or phones.

Pure functions on addresses (softmax weights over q slots, one row per video frame) and on the
words or phones that are spoken in these frames.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

SILENCE = "sil"
HISTOGRAM_BINS = 24
# Shuffles of the frames from which the chance level of the mutual information is taken.
SHUFFLES = 20


class Sharpness(NamedTuple):
    """How concentrated addresses are; see `sharpness`."""

    perplexity: Float[np.ndarray, " t"]
    top_weight: Float[np.ndarray, " t"]


class UseTable(NamedTuple):
    """Which words (or phones) use which slot; see `use_table`."""

    names: tuple[str, ...]
    counts: Int[np.ndarray, "names q"]
    information_bits: float
    chance_bits: float


def top_slot_counts(addresses: Float[np.ndarray, "t q"]) -> Int[np.ndarray, " q"]:
    """In how many frames each slot has the largest weight."""
    return np.bincount(addresses.argmax(axis=1), minlength=addresses.shape[1])


def sharpness(addresses: Float[np.ndarray, "t q"]) -> Sharpness:
    """Perplexity (1 = one slot, q = all alike) and the largest weight of each address.

    Source: papers' behaviour at initialisation with 96 slots and scale 16: perplexity about
    77, top weight about 0.046.
    """
    weights = np.asarray(addresses, np.float64)
    logs = np.log(np.where(weights > 0, weights, 1.0))
    return Sharpness(np.exp(-(weights * logs).sum(axis=1)), weights.max(axis=1))


def at_frames(
    spans: Sequence[tuple[float, float, str]], *, num_frames: int, fps: int
) -> tuple[str, ...]:
    """The word (or phone) spoken at the middle of each frame, or "sil" where none is.

    Args:
      spans: (start_s, end_s, name), as records hold words.
    """
    spoken = [SILENCE] * num_frames
    for start_s, end_s, name in spans:
        first, last = np.ceil(np.array([start_s, end_s]) * fps - 0.5).astype(int)
        for frame in range(max(0, first), min(num_frames, last)):
            spoken[frame] = name
    return tuple(spoken)


def use_table(
    top_slots: Int[np.ndarray, " t"], spoken: Sequence[str], *, num_slots: int, seed: int
) -> UseTable:
    """Counts of (word or phone, top slot), and how much one tells of the other.

    `chance_bits` is the mean of the same estimate with the words shuffled over the frames: a
    finite sample shows some information between unrelated things.
    """
    names, ids = np.unique(np.array(spoken), return_inverse=True)
    counts = _joint_counts(ids, top_slots, (len(names), num_slots))
    generator = np.random.default_rng(seed)
    chance = [
        mutual_information_bits(_joint_counts(shuffled, top_slots, counts.shape))
        for shuffled in (generator.permutation(ids) for _ in range(SHUFFLES))
    ]
    information = mutual_information_bits(counts)
    return UseTable(tuple(names.tolist()), counts, information, float(np.mean(chance)))


def slot_users(
    table: UseTable, *, slots: int, names: int
) -> dict[int, tuple[tuple[str, float], ...]]:
    """Who uses the most used slots: slot -> ((name, share of the slot's frames), ...), most first.

    Args:
      slots: at most this many slots; unused ones are left out.
      names: at most this many names of each.
    """
    frames = table.counts.sum(axis=0)
    users = {}
    for slot in np.argsort(-frames, kind="stable")[:slots].tolist():
        if frames[slot]:
            shares = table.counts[:, slot] / frames[slot]
            first = np.argsort(-shares, kind="stable")[:names].tolist()
            users[slot] = tuple((table.names[i], float(shares[i])) for i in first if shares[i])
    return users


def mutual_information_bits(counts: Int[np.ndarray, "rows columns"]) -> float:
    """Mutual information of the two variables of a contingency table, plug-in estimate."""
    joint = counts / counts.sum()
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log2(joint[seen] / independent[seen])).sum())


def one_hot_addresses(slots: Int[np.ndarray, " t"], *, num_slots: int) -> np.ndarray:
    """The address that recalls one slot alone, for each of `slots`; float32 (t, q)."""
    return np.eye(num_slots, dtype=np.float32)[slots]


def between(
    start: Float[np.ndarray, " q"], end: Float[np.ndarray, " q"], *, steps: int
) -> Float[np.ndarray, "steps q"]:
    """Convex combinations of two addresses, from the one to the other.

    Source: SyncTalkFace shows lip shapes between slots by editing the address.
    """
    share = np.linspace(0.0, 1.0, steps, dtype=np.float32)[:, None]
    return (1.0 - share) * start[None] + share * end[None]


def most_different_pair(images: np.ndarray, candidates: Sequence[int]) -> tuple[int, int]:
    """The two of the candidate images whose mean absolute difference is largest."""
    flat = images[list(candidates)].reshape(len(candidates), -1).astype(np.float32)
    distance = np.array([np.abs(flat - row).mean(axis=1) for row in flat])
    first, second = np.unravel_index(distance.argmax(), distance.shape)
    return candidates[int(first)], candidates[int(second)]


def summary(addresses: Float[np.ndarray, "t q"]) -> dict:
    """Use and sharpness of the slots as JSON-ready numbers."""
    counts = top_slot_counts(addresses)
    sharp = sharpness(addresses)
    edges = np.linspace(1.0, addresses.shape[1], HISTOGRAM_BINS + 1)
    histogram, _ = np.histogram(sharp.perplexity, edges)
    return {
        "frames": len(addresses),
        "slots": addresses.shape[1],
        "slots_ever_on_top": int((counts > 0).sum()),
        "top_slot_frames": counts.tolist(),
        "mean_address": addresses.mean(axis=0, dtype=np.float64).tolist(),
        "perplexity": _quantiles(sharp.perplexity),
        "perplexity_histogram": {"edges": edges.tolist(), "frames": histogram.tolist()},
        "top_weight": _quantiles(sharp.top_weight),
    }


def _joint_counts(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    counts = np.zeros(shape, np.int64)
    np.add.at(counts, (rows, columns), 1)
    return counts


def _quantiles(values: np.ndarray) -> dict[str, float]:
    names = {"p10": 0.1, "median": 0.5, "p90": 0.9}
    quantiles = {name: float(np.quantile(values, share)) for name, share in names.items()}
    return {"mean": float(values.mean()), **quantiles}
