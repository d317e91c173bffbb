"""A small file of each kind of public weights, and what the import of it must give.

A case is written by PyTorch (`test_with_torch.py`) and without it (`test_every_kind.py`).
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from talkjax import cli
from talkjax.train import checkpoint
from tests.weights import toy_psp, toy_stylegan, toy_stylegan2, toy_stylegan3, toy_synctalkface
from tests.weights.toy_expert import FACE_BLOCKS_128, expert_state
from tests.weights.toy_syncnet import syncnet_state

COUNTER = "num_batches_tracked"
FILTERS = ("kernel", "_filter")


class StateDict(dict):
    """What PyTorch saves of a net: an OrderedDict of tensors."""


class Tree(dict):
    """A state dict that is to be pickled as a tree of NVIDIA's modules."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A file, and what is in it.

    Attributes:
      kind: of `import-weights`.
      layout: what is detected in it.
      content: dicts of arrays and plain values.
      nets: {net: its state, without what is left out}.
      ignored: keys of the manifest's "ignored".
      places: {path of a leaf, "/" between: what must stand there}.
      pickled: a plain pickle, as NVIDIA writes them.
    """

    kind: str
    layout: str
    content: Any
    nets: Mapping[str, Mapping[str, np.ndarray]]
    ignored: set[str]
    places: Mapping[str, np.ndarray]
    pickled: bool = False


def used(state):
    """What of a state dict becomes a net's."""
    return {key: array for key, array in state.items() if not key.endswith((COUNTER, *FILTERS))}


def left_out(state, *, prefix=""):
    return {f"{prefix}{key}" for key in state.keys() - used(state).keys()}


def conv(weight):
    return weight.transpose(2, 3, 1, 0)


def expert_128():
    state = expert_state(face_blocks=FACE_BLOCKS_128)
    content = {"state_dict": StateDict(state)}
    last = conv(state["face_encoder.17.conv_block.0.weight"])
    places = {"sync/params/face/block_17/conv/kernel": last}
    nets = {"sync": used(state)}
    return Case("wav2lip-expert", "SyncTalkFace", content, nets, left_out(state), places)


def expert():
    state = expert_state()
    content = {"state_dict": StateDict({f"module.{k}": a for k, a in state.items()})}
    content |= {"optimizer": {"state": {}}, "global_step": 7, "global_epoch": 1}
    places = {
        "sync/params/face/block_3/conv/kernel": conv(state["face_encoder.3.conv_block.0.weight"]),
        "sync/batch_stats/audio/block_2/norm/var": state[
            "audio_encoder.2.conv_block.1.running_var"
        ],
    }
    ignored = left_out(state) | {"optimizer", "global_step", "global_epoch"}
    return Case("wav2lip-expert", "Wav2Lip", content, {"sync": used(state)}, ignored, places)


def syncnet():
    state = syncnet_state(last_kernel=6)
    clip = state["netcnnlip.0.weight"]  # o i t h w
    frames = [clip[:, :, t].transpose(2, 3, 1, 0) for t in range(clip.shape[2])]
    places = {
        "syncnet/params/lips/block_0/conv/kernel": np.concatenate(frames, axis=2),
        "syncnet/params/sound/block_5/conv/kernel": conv(state["netcnnaud.18.weight"]),
        "syncnet/params/sound_head/last/kernel": state["netfcaud.3.weight"].T,
    }
    nets = {"syncnet": used(state)}
    return Case("syncnet", "SyncNet v2", StateDict(state), nets, left_out(state), places)


def synctalkface():
    generator, decoder = toy_synctalkface.generator_state(), toy_synctalkface.decoder_state()
    judge = toy_synctalkface.discriminator_state()
    content = {
        "model_state_dict": StateDict(generator),
        "dec_state_dict": StateDict(decoder),
        "disc_state_dict": StateDict(judge),
    }
    stretching = decoder["face_decoder_blocks.1.0.conv_block.0.weight"]
    first = judge["face_encoder_blocks.1.1.conv_block.0.weight"]
    places = {
        "gen/params/memory/fusion/kernel": generator["mem.fusion.weight"].T,
        "gen/params/audio_encoder/block_3/conv/kernel": conv(
            generator["audio_encoder.3.conv_block.0.weight"]
        ),
        "gen/params/decoder/stage_1_block_0/conv/kernel": np.flip(stretching, (2, 3)).transpose(
            2, 3, 0, 1
        ),
        "disc/params/stage_1_block_1/conv/kernel": conv(first),
    }
    nets = {"gen": used(generator) | used(decoder), "disc": used(judge)}
    ignored = left_out(generator) | left_out(decoder) | left_out(judge)
    return Case("synctalkface", "SyncTalkFace", content, nets, ignored, places)


def stylegan2_rosinality():
    state, judge = toy_stylegan2.rosinality_state(), toy_stylegan2.rosinality_critic_state()
    average = state.pop("latent_avg")
    other = {key: 0 * array for key, array in state.items()}
    content = {"g": StateDict(other), "d": StateDict(judge), "g_ema": StateDict(state)}
    content |= {"g_optim": {"state": {}}, "ada_aug_p": 0.0, "latent_avg": average}
    stretching = state["convs.2.conv.weight"][0]
    places = {
        "gen/params/synthesis/up_conv_16/kernel": np.flip(conv(stretching), (0, 1)),
        "gen/params/synthesis/conv_16/kernel": conv(state["convs.3.conv.weight"][0]),
        "gen/averages/mapping/w_avg": average,
        "gen/noise/synthesis/conv_4/map": state["noises.noise_0"][0, 0],
        "disc/params/from_rgb/kernel": conv(judge["convs.0.0.weight"]),
    }
    nets = {"gen": used(state) | {"latent_avg": average}, "disc": used(judge)}
    ignored = left_out(state) | left_out(judge) | {"g", "g_optim", "ada_aug_p"}
    return Case("stylegan2", "rosinality", content, nets, ignored, places)


def nvidia_case(kind, state, places):
    judge = toy_stylegan2.nvidia_critic_state()
    content = {"G": None, "D": Tree(judge), "G_ema": Tree(state), "augment_pipe": None}
    content |= {"training_set_kwargs": {"resolution": 16}}
    ignored = left_out(state) | left_out(judge) | {"G", "augment_pipe", "training_set_kwargs"}
    places |= {"disc/params/block_16/conv_1/kernel": conv(judge["b16.conv1.weight"])}
    nets = {"gen": used(state), "disc": used(judge)}
    return Case(kind, "NVIDIA", content, nets, ignored, places, pickled=True)


def stylegan2_nvidia():
    state = toy_stylegan2.nvidia_state()
    stretching = state["synthesis.b16.conv0.weight"]
    places = {
        "gen/params/synthesis/up_conv_16/kernel": np.flip(conv(stretching), (0, 1)),
        "gen/params/synthesis/constant": state["synthesis.b4.const"].transpose(1, 2, 0),
        "gen/averages/mapping/w_avg": state["mapping.w_avg"],
    }
    return nvidia_case("stylegan2", state, places)


def stylegan3(config):
    state = toy_stylegan3.make_state(config)
    (layer,) = {key.split(".")[1] for key in state if key.startswith("synthesis.L2_")}
    places = {
        "gen/params/synthesis/layer_2/kernel": conv(state[f"synthesis.{layer}.weight"]),
        "gen/params/synthesis/input/kernel": state["synthesis.input.weight"].T,
        "gen/buffers/synthesis/input/phases": state["synthesis.input.phases"],
    }
    return nvidia_case("stylegan3", state, places)


def psp():
    encoder = toy_psp.published_encoder_state()
    decoder = toy_stylegan.rosinality_state(width=toy_psp.WIDTH)
    average = np.arange(toy_psp.WIDTH, dtype=np.float32).reshape(1, -1)
    state = {f"encoder.{key}": array for key, array in encoder.items()}
    state |= {f"decoder.{key}": array for key, array in decoder.items()}
    options = {"encoder_type": "GradualStyleEncoder", "start_from_latent_avg": True, "lr": 1e-4}
    content = {"state_dict": StateDict(state), "latent_avg": average, "opts": options}
    places = {
        "encoder/average/latent": average,
        "decoder/averages/mapping/w_avg": average[0],
        "encoder/params/style_0/conv_3/kernel": conv(encoder["styles.0.convs.6.weight"]),
        "encoder/params/backbone/unit_7/squeeze/kernel": conv(
            encoder["body.7.res_layer.5.fc1.weight"]
        ),
    }
    nets = {"encoder": used(encoder) | {"latent_avg": average}}
    nets["decoder"] = used(decoder) | {"latent_avg": average}
    ignored = left_out(encoder, prefix="encoder.") | left_out(decoder, prefix="decoder.")
    ignored |= {"opts.lr"}
    return Case("psp", "pSp", content, nets, ignored, places)


def arcface():
    state = toy_psp.published_arcface_state()
    weight = state["output_layer.3.weight"].reshape(512, 512, 7, 7)
    places = {
        "arcface/params/linear/kernel": weight.transpose(2, 3, 1, 0).reshape(-1, 512),
        "arcface/params/backbone/stem_conv/kernel": conv(state["input_layer.0.weight"]),
        "arcface/batch_stats/norm_out/var": state["output_layer.4.running_var"],
    }
    nets = {"arcface": used(state)}
    return Case("arcface", "IR-SE-50", StateDict(state), nets, left_out(state), places)


CASES: Mapping[str, Callable[[], Case]] = {
    "wav2lip-expert": expert,
    "wav2lip-expert-128": expert_128,
    "syncnet": syncnet,
    "synctalkface": synctalkface,
    "stylegan2-rosinality": stylegan2_rosinality,
    "stylegan2-nvidia": stylegan2_nvidia,
    "stylegan3-t": lambda: stylegan3("t"),
    "stylegan3-r": lambda: stylegan3("r"),
    "psp": psp,
    "arcface": arcface,
}
# Their widths are not free: the written checkpoint has 170 MB.
LARGE = ("psp", "arcface")


def sums(arrays):
    """(how many values, their sum, the sum of their sizes), which no layout changes."""
    arrays = [np.asarray(array) for array in arrays]
    totals = [np.array([np.sum(f(a), dtype=np.float64) for a in arrays]) for f in (np.copy, np.abs)]
    return sum(a.size for a in arrays), *(total.sum() for total in totals)


def check_import(case, path, out, capsys, *, form):
    """Imports a case's file by the command, and compares values and manifest."""
    assert cli.main(["import-weights", case.kind, str(path), str(out), "--json"]) == 0
    manifest = json.loads(capsys.readouterr().out)
    trained = checkpoint.load_trained(out)
    assert manifest == trained.origin | {"scores": {}}
    assert (manifest["kind"], manifest["layout"]) == (case.kind, case.layout)
    assert (manifest["file"], manifest["form"]) == (path.name, form)
    assert manifest["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert {key for keys in manifest["ignored"].values() for key in keys} == case.ignored

    assert set(trained.params) == set(case.nets)
    for net, state in case.nets.items():
        found = {"params": trained.params[net], **trained.model_vars[net]}
        count, total, size = sums(jax.tree.leaves(found))
        wanted = sums(state.values())
        assert (count, manifest["values"][net]) == (wanted[0], wanted[0]), net
        np.testing.assert_allclose([total, size], wanted[1:], rtol=0, atol=1e-9 * size)
    for place, wanted in case.places.items():
        net, collection, *names = place.split("/")
        found = trained.params[net] if collection == "params" else trained.model_vars[net]
        for name in names if collection == "params" else [collection, *names]:
            found = found[name]
        np.testing.assert_array_equal(found, wanted, err_msg=place)
