"""What `talkjax evaluate` puts together: clips, critics, the linear row, pictures, provenance.

`talkjax.evals` knows arrays and functions only; here they are made from files.
"""

import dataclasses
import hashlib
import importlib
import os
import pathlib
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

import jax
import numpy as np

from talkjax.commands.evaluate import CRITIC_METHOD
from talkjax.commands.labels import critic_label, public_origins
from talkjax.data.source import Source, data_settings, open_source
from talkjax.data.transforms import decode_frames
from talkjax.errors import UserError
from talkjax.evals import baselines, ground_truth, image_quality, landmarks, pictures, sync
from talkjax.evals.report_tables import TRAINING_CRITIC_SUFFIX
from talkjax.evals.runner import CLIPS_IN_FLIGHT, EvalClip, Evaluation, Tools
from talkjax.experts import SAME_CROPS
from talkjax.ops.geometry import rescale_crops
from talkjax.progress import Progress
from talkjax.train.checkpoint import load_trained
from talkjax.train.files import hashable
from talkjax.train.trained import Trained, fingerprint

PACKAGES = ("talkjax", "jax", "flax", "numpy", "scipy", "opencv-python-headless", "dlib-bin")
# What stands for the source of an expert that was drawn, not trained.
RANDOM_INIT = "random"


class Clips:
    """Clips of a split by name, as the measures want them.

    Attributes:
      ids: the chosen clips, sorted; with a limit, evenly spaced over all.
      record_sizes_px: the sizes that the split's crops have.
    """

    def __init__(self, source: Source, *, image_size: int, limit: int | None):
        self._source = source
        self._image_size = image_size
        self._places = {clip.clip_id: i for i, clip in enumerate(source.clips)}
        self.ids = evenly_spaced(sorted(self._places), limit)
        self.record_sizes_px = sorted({clip.size_px for clip in source.clips})
        if self.record_sizes_px[0] < image_size:
            raise UserError(
                f"{source.path}: crops are {self.record_sizes_px[0]} px, the model wants "
                f"{image_size} px; prepare the data again with larger crops"
            )

    def __call__(self, clip_id: str) -> EvalClip:
        """Reads a clip.

        Raises:
          UserError: if it is damaged.
        """
        record = self._source[self._places[clip_id]]
        every = np.arange(record.num_frames)
        size = min(record.size_px, image_quality.EVAL_SIZE_PX)
        truth = decode_frames(record, every, size_px=size)
        crops = rescale_crops(
            record.crop_to_source, from_px=record.size_px, to_px=image_quality.EVAL_SIZE_PX
        )
        return EvalClip(
            truth_u8=image_quality.resize_frames(truth, image_quality.EVAL_SIZE_PX),
            model_u8=decode_frames(record, every, size_px=self._image_size),
            mel=record.mel.astype(np.float32),
            audio_i16=record.audio_i16,
            known=ground_truth.read_known(record.labels, record.texts, crop_to_source=crops),
            words=record.words,
        )

    def spoken(self) -> Iterator[tuple[tuple[float, float, str], ...]]:
        """The words of each chosen clip, where an alignment is known; no picture is decoded."""
        return (self._source[self._places[clip_id]].words for clip_id in self.ids)

    def fingerprint(self) -> str:
        """Changes with the chosen clips and their content."""
        digest = hashlib.sha256()
        for clip_id in self.ids:
            clip = self._source.clips[self._places[clip_id]]
            digest.update(f"{self._source.path if not clip.sha256 else ''}\0".encode())
            digest.update(f"{clip.clip_id}\0{clip.frames}\0{clip.sha256}\n".encode())
        return digest.hexdigest()


def evenly_spaced(names: Sequence[str], limit: int | None) -> list[str]:
    """At most `limit` of the names, evenly spaced over them."""
    if limit is None or limit >= len(names):
        return list(names)
    chosen = np.linspace(0, len(names) - 1, limit).round().astype(int)
    return [names[i] for i in chosen]


@dataclasses.dataclass(frozen=True)
class Judge:
    """A critic, the suffix of its measures ("" unless it is known to have taken part in the
    training), and who it is."""

    critic: sync.Critic
    suffix: str
    identity: dict[str, Any]


def check_crops(trained: Trained, path: pathlib.Path, data: str) -> None:
    """Raises UserError unless the data were prepared with crops as those of the training."""
    wanted, found = trained.data_settings, data_settings(data)
    for key in SAME_CROPS:
        if wanted.get(key) != found.get(key):
            raise UserError(
                f"{data}: crops were prepared with {key} = {found.get(key)}, {path} was trained on "
                f"crops with {wanted.get(key)}; prepare the data again as the training's"
            )


def find_judges(
    given: pathlib.Path | None, model: pathlib.Path, trained: Trained, *, data: str
) -> list[Judge]:
    """The judge, or else the training critics under a name that says so; [] if there is neither.

    Args:
      given: a critic's workdir or export.
      model: folder of the model that is judged; a workdir keeps its training critics.
      trained: what was loaded from there.
      data: the folder that is evaluated.

    Raises:
      UserError: if the given judge is no sync critic, or was trained on other crops.
    """
    if given is None:
        return _training_critics(model)
    judge = load_trained(given)
    if judge.config.method != CRITIC_METHOD:
        raise UserError(
            f"{given}: holds a {judge.config.method}, want a {CRITIC_METHOD} as --judge"
        )
    check_crops(judge, given, data)
    part = _part_in_training(judge, given, trained.experts or {})
    suffix = TRAINING_CRITIC_SUFFIX if part else ""
    if trained.experts is None:
        independence = "unknown, since the model does not say which critics it was trained with"
    elif part:
        independence = f"none, since {part}"
    else:
        independence = "other weights and seed than the training's critics"
    identity = subject(judge, path=given)
    identity |= {"independence": independence, "label": critic_label(identity)}
    return [Judge(make_critic(judge), suffix, identity)]


def _training_critics(model: pathlib.Path) -> list[Judge]:
    folders = {p.name: p for p in sorted((model / "experts").glob("*")) if p.is_dir()}
    critics = {name: load_trained(path) for name, path in folders.items()}
    critics = {name: c for name, c in critics.items() if c.config.method == CRITIC_METHOD}
    found = []
    for name, critic in critics.items():
        # Two training critics cannot share a name.
        suffix = TRAINING_CRITIC_SUFFIX + (f"_{name}" if len(critics) > 1 else "")
        identity = subject(critic, path=folders[name])
        identity |= {"independence": f"none, since it is expert {name} of the training"}
        identity |= {"label": critic_label(identity)}
        found.append(Judge(make_critic(critic), suffix, identity))
    return found


def _part_in_training(
    judge: Trained, path: pathlib.Path, experts: Mapping[str, Mapping[str, Any]]
) -> str:
    """How the judge took part in the training, "" if it did not.

    A critic of the same run at another step has learnt nearly the same. Where the run lay is not
    enough to know it by, since it may have been moved or exported; its seed stays.
    """
    own, seed = fingerprint(judge.params), int(judge.config.run.seed)
    for name, expert in experts.items():
        if expert["fingerprint"] == own:
            return f"it is expert {name} of the training"
        if expert["source"] == RANDOM_INIT:  # never trained, so it has no other steps
            continue
        if pathlib.Path(expert["source"]).resolve() == path.resolve():
            return f"it is expert {name} of the training at step {judge.step}"
        if expert["seed"] == seed:
            return f"it has the seed of expert {name}, {seed}, so it counts as the same run"
    return ""


def judges_protocol(judges: Sequence[Judge]) -> dict[str, Any]:
    """Who judged: "none" where only a critic of the training could be found."""
    apart = [judge.identity for judge in judges if not judge.suffix]
    training = {judge.suffix[1:]: judge.identity for judge in judges if judge.suffix}
    return {"judge": apart[0] if apart else "none"} | training


def make_critic(trained: Trained) -> sync.Critic:
    """A trained sync critic as two compiled functions."""
    config = trained.config
    method = importlib.import_module(f"talkjax.methods.{config.method}")
    predict = method.build(**hashable(config.model)).predict_fn
    nets = jax.device_put((trained.params, trained.model_vars))

    def compiled(output: str) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
        # The branch that is not asked for is not computed.
        one = jax.jit(lambda p, v, batch: predict(p, v, batch, jax.random.key(0))[output])
        return lambda batch: np.asarray(one(*nets, batch))

    return sync.Critic(
        embed_faces=compiled("face_embedding"),
        embed_sound=compiled("audio_embedding"),
        image_size=int(config.data.image_size),
        clip_frames=int(config.data.clip_frames),
        mel_frames=int(config.data.mel_frames),
    )


def linear_lips(
    data: str,
    tracker: landmarks.LandmarkTracker,
    *,
    limit: int,
    cache: pathlib.Path,
) -> tuple[baselines.LinearLips | None, dict[str, Any]]:
    """The linear row's map, fitted on the train split.

    Args:
      cache: where it is kept; read instead of fitted again if it is of the same clips and
        settings.

    Returns:
      The map and what the protocol says of it; None and the reason where it cannot be fitted.
    """
    try:
        clips = Clips(open_source(data, "train"), image_size=8, limit=limit)
    except UserError as error:
        return None, {"left_out": str(error)}
    if len(clips.ids) < baselines.CHOOSING_PART:
        return None, {"left_out": f"{len(clips.ids)} training clips, want 5 or more"}
    key = _linear_key(clips)
    notes: dict[str, Any] = {"split": "train", "clips": len(clips.ids), "window_s": 0.2}
    model = _read_linear(cache, key)
    if model is None:
        mels, lips = [], []
        with Progress(len(clips.ids), label="linear row") as bar:
            for mel, found in _true_lips(clips, tracker):
                mels.append(mel)
                lips.append(found)
                bar.step()
        model = baselines.fit_linear_lips(mels, lips)
        _write_linear(cache, key, model)
    return model, notes | {"strength": model.strength}


def _true_lips(
    clips: Clips, tracker: landmarks.LandmarkTracker
) -> Iterator[tuple[np.ndarray, landmarks.LipSeries]]:
    """(mel, true lips) of each clip, a few landmark jobs ahead. A damaged clip ends the run:
    the fit must not depend on which training clips happened to be readable."""
    pending = []
    for clip_id in clips.ids:
        clip = clips(clip_id)
        pending.append((clip.mel, tracker.start(clip.truth_u8)))
        if len(pending) > CLIPS_IN_FLIGHT:
            mel, wait = pending.pop(0)
            yield mel, landmarks.lip_series(wait())
    for mel, wait in pending:
        yield mel, landmarks.lip_series(wait())


def _linear_key(clips: Clips) -> str:
    settings = (
        baselines.LINEAR_MEL_FRAMES,
        baselines.LINEAR_SHIFT_FRAMES,
        baselines.RIDGE_STRENGTHS,
        baselines.CHOOSING_PART,
        metadata.version("dlib-bin"),
        metadata.version("talkjax"),
    )
    return f"{clips.fingerprint()} {settings}"


def _read_linear(path: pathlib.Path, key: str) -> baselines.LinearLips | None:
    """The cached map if it was fitted on the same clips with the same settings."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as saved:
            arrays = {name: saved[name] for name in saved.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: is no cached linear row ({error}); delete it") from error
    if "key" not in arrays or str(arrays.pop("key")) != key:
        return None
    return baselines.LinearLips(**arrays | {"strength": float(arrays["strength"])})


def _write_linear(path: pathlib.Path, key: str, model: baselines.LinearLips) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    np.savez(partial, key=np.array(key), **dataclasses.asdict(model))
    os.replace(partial, path)


def subject(trained: Trained, *, path: pathlib.Path) -> dict[str, Any]:
    """Which weights these are; "origin" or "began_from" if public ones are in them."""
    return {
        "method": str(trained.config.method),
        "checkpoint": str(path),
        "step": int(trained.step),
        "image_size": int(trained.config.data.image_size),
        "validation_scores": dict(trained.scores),
        "weights_sha256": fingerprint(trained.params),
        "trained_on": dict(trained.data_settings),
    } | public_origins(trained)


def provenance() -> dict[str, Any]:
    """Versions and device."""
    devices = jax.devices()
    return {
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "device": f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})",
    }


def save_pictures(
    out: pathlib.Path,
    found: Evaluation,
    clips: Clips,
    tools: Tools,
    *,
    count: int,
    reference_frame: int,
) -> None:
    """A contact sheet per shown clip, and lip-opening curves of all of them."""
    shown = evenly_spaced(sorted(found.results), count)
    with Progress(len(shown), label="pictures") as bar:
        for clip_id in shown:
            films = _films(clip_id, found, clips, tools, reference_frame=reference_frame)
            name = re.sub(r"[^A-Za-z0-9._-]+", "_", clip_id)
            pictures.save_picture(out / "pictures" / f"{name}.png", pictures.contact_sheet(films))
            bar.step()
    rows = ("generated", "swapped_voice_vs_voice", "swapped_voice_vs_face", "linear")
    curves = {}
    for clip_id in shown:
        pairs = found.results[clip_id].pairs
        curves[clip_id] = {row: pairs[row]["opening"][0] for row in rows if row in pairs}
    if curves:
        drawn = pictures.opening_curves(curves, rows=rows)
        pictures.save_picture(out / "pictures" / "lip_opening.png", drawn)


def _films(
    clip_id: str, found: Evaluation, clips: Clips, tools: Tools, *, reference_frame: int
) -> list[np.ndarray]:
    clip = clips(clip_id)
    reference = clip.model_u8[min(reference_frame, len(clip.model_u8) - 1)]
    films = [clip.truth_u8, tools.generate(clip.model_u8, reference, clip.mel)]
    if clip_id in found.voices:
        voice = clips(found.voices[clip_id][0])
        both = min(len(clip.model_u8), len(voice.model_u8))
        films.append(tools.generate(clip.model_u8[:both], reference, voice.mel))
        films.append(voice.truth_u8)
    return films
