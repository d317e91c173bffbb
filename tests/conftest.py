"""What every test runs under: 8 CPU devices, checked shapes, no silent broadcasting.

The import hook must be in place before anything of talkjax is imported, hence the order here.
"""

import os
import pathlib
import tempfile

from jaxtyping import install_import_hook

# pytest keeps the hook for the whole run; every `talkjax` module imported later is checked.
install_import_hook("talkjax", "beartype.beartype")

import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

NUM_DEVICES = 8


def _cache_folder() -> str:
    """A per-user folder for compiled programs, so that repeated runs are quick."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = os.path.join(home, "talkjax", "test_compilation_cache")
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        # A read-only home: a folder of this run alone, so only the speed-up is lost.
        return tempfile.mkdtemp(prefix="talkjax_compilation_cache_")
    return folder


jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", NUM_DEVICES)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", _cache_folder())
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of recorded outputs and sample media, which is no part of the repository.

    Env TALKJAX_SHARED names it, default `../shared` beside the repository. Without it the
    test is skipped, or fails when env TALKJAX_REQUIRE_SHARED is 1.
    """
    default = pathlib.Path(__file__).resolve().parents[2] / "shared"
    folder = pathlib.Path(os.environ.get("TALKJAX_SHARED") or default)
    if not folder.is_dir():
        reason = f"shared folder {folder} is absent; set TALKJAX_SHARED"
        if os.environ.get("TALKJAX_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def golden(shared):
    """`golden(folder)` -> the recorded arrays {name: array} of `<shared>/golden/<folder>`."""

    def load(folder: str) -> dict[str, np.ndarray]:
        with np.load(shared / "golden" / folder / "golden.npz", allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}

    return load


@pytest.fixture(scope="session")
def golden_weights(shared):
    """`golden_weights(folder, model)` -> the synthetic PyTorch state dict {key: array}."""
    import importlib.util

    path = shared / "golden" / "make_weights.py"
    spec = importlib.util.spec_from_file_location("golden_make_weights", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load_model_weights
