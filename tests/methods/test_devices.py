"""The published methods give the same losses on one device and on eight."""

import json

import pytest

from configs import sync_critic_grid, synctalkface_grid
from talkjax import main


def losses(config, workdir) -> list[float]:
    main.run(config, workdir)
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    name = next(key for line in lines for key in line if key.endswith("/total"))
    return [line[name] for line in lines if name in line]


@pytest.mark.slow
@pytest.mark.parametrize("module", [sync_critic_grid, synctalkface_grid])
def test_one_device_equals_eight(module, tmp_path):
    """The batch statistics are those of the global batch, so splitting it changes nothing."""
    found = {}
    for devices in (1, 8):
        config = module.get_config("smoke")
        config.mesh.shape = (devices,)
        config.run.update(steps=3, validate_every_steps=0, picture_every_steps=0)
        for net in config.optim:
            # Adam divides by the size of the gradient, so that biases before a batch norm,
            # whose gradient is rounding noise, would walk away from each other.
            config.optim[net].name = "sgd"
        found[devices] = losses(config, tmp_path / str(devices))
    assert len(found[1]) == 3
    assert found[8] == pytest.approx(found[1], rel=2e-4)
    assert found[1][0] != found[1][2]
