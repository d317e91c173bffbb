"""One way to make a random generator from a seed and names.

Every draw of the synthetic corpus comes from such a generator, so what a clip looks like
depends on the seed and its own number alone: not on which clips came before it, not on
which process made it, not on the size of the corpus.
"""

import hashlib

import numpy as np

_KEY_WORDS = 2  # of 64 bits: the key of Philox4x64


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Returns a fresh Philox generator, the same for the same seed and names.

    Different names give independent streams; `3` and `"3"` are different names, and
    ("ab", "c") is not ("a", "bc"): the type and the length of each name are hashed too.

    Args:
        seed: of the corpus; any whole number.
        *names: what the draws are for, such as `"clip", 12, "blinks"`.

    Raises:
        TypeError: a name is neither a str nor an int.
    """
    digest = hashlib.sha256(_entry(seed))
    for name in names:
        digest.update(_entry(name))
    words = np.frombuffer(digest.digest(), dtype="<u8")
    return np.random.Generator(np.random.Philox(key=words[:_KEY_WORDS].astype(np.uint64)))


def _entry(name: str | int) -> bytes:
    if isinstance(name, bool) or not isinstance(name, str | int | np.integer):
        raise TypeError(f"name {name!r} of a random stream is neither str nor int")
    kind = b"s" if isinstance(name, str) else b"i"
    text = str(name).encode()
    return kind + str(len(text)).encode() + b":" + text
