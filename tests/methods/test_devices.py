"""The published methods train alike on one, two and eight devices."""

import json

import numpy as np
import pytest

from configs import lip_reader_grid, sync_critic_grid, syncnet_grid, synctalkface_grid
from talkjax import main

STEPS = 2
# Relative. Rounding grows from step to step, in the gradient most.
TOLERANCES = {"total": 1e-3, "gradient_norm": 1e-2}


def curves(config, workdir) -> dict[str, np.ndarray]:
    """Losses and gradient norms of each step, by name."""
    main.run(config, workdir)
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    names = [name for name in lines[0] if name.rpartition("/")[2] in TOLERANCES]
    assert names
    return {name: np.array([line[name] for line in lines]) for name in names}


@pytest.mark.slow
@pytest.mark.parametrize(
    "module", [lip_reader_grid, sync_critic_grid, syncnet_grid, synctalkface_grid]
)
def test_one_device_equals_two_and_eight(module, tmp_path):
    """The batch statistics are those of the global batch, so splitting it changes nothing."""
    found = {}
    for devices in (1, 2, 8):
        config = module.get_config("smoke")
        config.mesh.shape = (devices,)
        config.run.update(steps=STEPS, validate_every_steps=0, best_metric="")
        config.run.update(picture_every_steps=0, save_every_steps=0)
        for net in config.optim:
            # Adam divides by the size of the gradient, so that biases before a batch norm,
            # whose gradient is rounding noise, would walk away from each other. The rate is
            # large, so that a wrong gradient shows in the next loss.
            config.optim[net].update(name="sgd", learning_rate=0.1, clip_norm=1.0)
            config.optim[net].update(schedule="constant", warmup_steps=0, decay_steps=0)
            config.optim[net].weight_decay = 0.0
        found[devices] = curves(config, tmp_path / str(devices))
    for name, one in found[1].items():
        assert len(one) == STEPS
        tolerance = TOLERANCES[name.rpartition("/")[2]]
        for devices in (2, 8):
            np.testing.assert_allclose(found[devices][name], one, rtol=tolerance, err_msg=name)
        moved = np.abs(np.diff(one)) / np.abs(one[1:])
        if name.endswith("/total"):
            assert np.all(moved > 3 * tolerance), f"{name}: {one} moves too little to tell"
