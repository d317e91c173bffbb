"""The two forms of the adversarial game, by the logarithms they are defined by."""

import jax
import numpy as np
import pytest

from talkjax.ops import losses

LOGITS = np.linspace(-4, 4, 9, dtype=np.float32)
PROBABILITY = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
# Of the paper's losses, each minimised: log(1 - D) of what should be called real (the generator's
# pictures by the generator, the true ones by the discriminator), log D of what should not.
WANTED = {
    ("cross_entropy", True): -np.log(PROBABILITY),
    ("cross_entropy", False): -np.log(1 - PROBABILITY),
    ("saturating", True): np.log(1 - PROBABILITY),
    ("saturating", False): np.log(PROBABILITY),
}


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("form", losses.GAN_FORMS)
def test_adversarial_loss_is_its_logarithm_and_pulls_the_right_way(form, real):
    loss = losses.adversarial_loss(jax.numpy.asarray(LOGITS), real=real, form=form)
    np.testing.assert_allclose(loss, WANTED[form, real], rtol=1e-4, atol=1e-6)
    slope = jax.vmap(jax.grad(lambda x: losses.adversarial_loss(x, real=real, form=form)))(LOGITS)
    assert np.all((slope < 0) == real)
    # Far on the wrong side only the saturating form is flat.
    far = abs(float(slope[0 if real else -1]))
    assert far < 0.02 if form == "saturating" else far > 0.98
