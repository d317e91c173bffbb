"""Blocks that configs share, and the check of a variant's name."""

from ml_collections import ConfigDict


def check_variant(variant: str, known: tuple[str, ...]) -> None:
    """Raises ValueError, naming the variants there are."""
    if variant not in known:
        raise ValueError(f"variant {variant!r} does not exist, want one of {', '.join(known)}")


def one_axis_mesh() -> ConfigDict:
    """All devices along "data"."""
    return ConfigDict(dict(axes=("data",), shape=(-1,)))


# Batch on "data", every parameter on every device.
REPLICATED = ((".*", ()),)
