"""`talkjax generate` end to end: seconds per second of video, and memory against length.

Each case is the command in a process of its own: start, checkpoint, both passes over the face,
encoding. Peak memory is the operating system's count for that process. Memory must not grow
with the length: the longest case may take at most 10% more than the shortest. A video is
measured as it is, and made longer than the shortest sound: cut by that one, it must go to and
fro for a longer one, which is when frames have to be held.

Without a face the picture is a portrait that comes with matplotlib, without a voice the sound is a
hum: what is seen and said matters little to the speed.
Without `--checkpoint` a config's model with random weights is written first: neither speed nor
memory depends on what the weights are.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from talkjax.errors import UserError

TARGET_MEMORY_RATIO = 1.10
PORTRAIT = "grace_hopper.jpg"
# By how much the "longer video" outlasts the shortest sound.
LONGER_S = 10.0
# A process starts with the peak memory of the one it was forked from (Linux keeps the larger
# over an exec), so a small process stands between this one and the one that is measured.
LAUNCHER = """
import json, os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
core_seconds = usage.ru_utime + usage.ru_stime
print(json.dumps({"code": os.waitstatus_to_exitcode(status), "peak_memory_mb":
    usage.ru_maxrss / 1024, "core_seconds": core_seconds}), file=sys.stderr)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--picture",
        type=Path,
        help="a face to be measured as a still picture (default: a portrait, unless --video)",
    )
    parser.add_argument(
        "--video", type=Path, help="a face to be measured as a video, as it is and made longer"
    )
    parser.add_argument("--voice", type=Path, help="speech, repeated as needed (default: a hum)")
    parser.add_argument("--checkpoint", type=Path, help="a workdir or an exported folder")
    parser.add_argument(
        "--variant",
        default="cpu",
        help="without --checkpoint: variant of configs/synctalkface_grid.py (default: cpu)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        nargs="+",
        default=[10.0, 60.0],
        help="lengths of sound (default: 10 60, which is quick; the target is for 30 600)",
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measures every face with every length."""
    faces = {"picture": args.picture, "video": args.video}
    faces = {kind: path for kind, path in faces.items() if path is not None}
    if not faces:
        faces = {"picture": portrait()}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if args.checkpoint is None:
            report.say(f"making a checkpoint with random weights, variant {args.variant}")
        checkpoint = args.checkpoint or untrained(args.variant, work / "checkpoint")
        voice = args.voice or hum(work / "hum.wav")
        if args.video is not None:
            longer_s = min(args.seconds) + LONGER_S
            faces["longer video"] = looped(args.video, work / "longer.mp4", seconds=longer_s)
        cases = []
        for kind, face in faces.items():
            for seconds in args.seconds:
                report.say(f"talkjax generate: {kind} {face.name}, {seconds:g} s of sound")
                sound = repeated(voice, work / f"{seconds}.wav", seconds=seconds)
                flags = ["--checkpoint", checkpoint, "--face", face, "--audio", sound]
                case = measure([*flags, "--out", work / "out.mp4"])
                cases.append({"face": kind, "audio_seconds": seconds, **case})
                print(json.dumps(cases[-1]), file=sys.stderr, flush=True)
    model = str(args.checkpoint) if args.checkpoint else f"random weights, variant {args.variant}"
    files = {kind: face.name for kind, face in faces.items()} | {"voice": voice.name}
    return {"model": model, "files": files, "cases": cases, "memory": memory_ratios(cases)}


def measure(flags: list) -> dict[str, Any]:
    """One run of the command, as the operating system and its own report saw it."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "talkjax", "generate", *map(str, flags), "--json"]
    used, output, complaints = launch(command)
    wall_s = time.perf_counter() - started
    if used["code"] != 0:
        raise UserError(f"talkjax generate failed: {complaints[-1]}")
    report = json.loads(output)
    return {
        "frames": report["frames"],
        "width": report["width"],
        "height": report["height"],
        "audio_rate_hz": report["audio_rate_hz"],
        "audio_channels": report["audio_channels"],
        "batch_frames": report["batch_frames"],
        "wall_seconds": round(wall_s, 2),
        "core_seconds": round(used["core_seconds"], 2),
        "wall_seconds_per_second": round(wall_s / report["seconds"], 3),
        "peak_memory_mb": round(used["peak_memory_mb"], 1),
        "stage_seconds": report["stage_seconds"],
    }


def launch(command: list[str]) -> tuple[dict[str, Any], str, list[str]]:
    """What a command used ("code", "peak_memory_mb", "core_seconds"), its output, its stderr."""
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, *command], capture_output=True, text=True, check=True
    )
    *complaints, used = done.stderr.splitlines()
    return json.loads(used), done.stdout, complaints


def memory_ratios(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Peak memory of each face's longest case over its shortest, against the target."""
    ratios = {}
    for kind in dict.fromkeys(case["face"] for case in cases):
        own = sorted((c for c in cases if c["face"] == kind), key=lambda c: c["audio_seconds"])
        ratios[kind] = round(own[-1]["peak_memory_mb"] / own[0]["peak_memory_mb"], 3)
    met = all(ratio <= TARGET_MEMORY_RATIO for ratio in ratios.values())
    return {"longest_over_shortest": ratios, "target": TARGET_MEMORY_RATIO, "met": met}


def portrait() -> Path:
    """A photograph of Grace Hopper (U.S. Navy, public domain) that matplotlib installs."""
    from matplotlib import cbook

    return Path(cbook.get_sample_data(PORTRAIT, asfileobj=False))


def hum(out: Path) -> Path:
    """Two seconds of a swelling tone, as a 16 kHz mono WAV."""
    time_s = np.arange(32_000) / 16_000
    wave_form = 0.3 * np.sin(2 * np.pi * 150 * time_s) * np.sin(4 * np.pi * time_s) ** 2
    with wave.open(str(out), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((wave_form * 32767).astype("<i2").tobytes())
    return out


def repeated(voice: Path, out: Path, *, seconds: float) -> Path:
    """The voice again and again, as a WAV of a given length with its rate and channels."""
    from talkjax.media.probe import probe
    from talkjax.media.soundtrack import Soundtrack

    with Soundtrack(voice, start_s=probe(voice).start_s) as track:
        samples = (np.concatenate(list(track)) * 32767).astype("<i2")
        whole = np.resize(samples, (round(seconds * track.rate_hz), track.channels))
        with wave.open(str(out), "wb") as file:
            file.setnchannels(track.channels)
            file.setsampwidth(2)
            file.setframerate(track.rate_hz)
            file.writeframes(whole.tobytes())
    return out


def looped(video: Path, out: Path, *, seconds: float) -> Path:
    """The video to and fro, or cut, for a given time."""
    from talkjax.data.schema import FPS
    from talkjax.media.pingpong import PingPongFrames
    from talkjax.media.probe import probe
    from talkjax.media.writer import VideoWriter

    info = probe(video)
    with (
        PingPongFrames(video, round(seconds * FPS)) as frames,
        VideoWriter(out, width=info.width, height=info.height) as writer,
    ):
        for frame in frames:
            writer.write(frame.rgb)
    return out


def untrained(variant: str, out: Path) -> Path:
    """An exported checkpoint of the config's model with random weights."""
    import jax

    from configs import synctalkface_grid
    from data_prep.settings import Settings
    from talkjax import assemble
    from talkjax.train import checkpoint

    config = synctalkface_grid.get_config(variant)
    method = assemble.build_method(config)
    batch = assemble.element_spec(config)
    params, model_vars = jax.jit(lambda key: method.init_fn(key, batch))(jax.random.key(0))
    trained = checkpoint.Trained(
        config=config,
        params=jax.device_get(params),
        model_vars=jax.device_get(model_vars),
        step=0,
        scores={},
        experts={},
        data_settings=Settings().as_json(),
    )
    checkpoint.write_export(trained, out)
    return out
