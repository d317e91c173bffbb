"""The TFDS builders write ArrayRecords that TFDS reads back, without TensorFlow."""

import json
import shutil
import subprocess
import sys

import pytest

from data_prep.clip import prepare_clip
from data_prep.layouts import LAYOUTS, list_clips
from data_prep.settings import Settings
from talkjax.data import schema

# In a process of its own: TFDS warns on import, and TensorFlow must not be there afterwards.
SCRIPT = """
import sys
import tensorflow_datasets as tfds
from data_prep.tfds import builders
builder = builders.TalkjaxFolder(data_dir=sys.argv[2])
builder.download_and_prepare(
    file_format="array_record",
    download_config=tfds.download.DownloadConfig(manual_dir=sys.argv[1], num_shards=1),
)
split = next(iter(builder.info.splits))
source = tfds.data_source(
    "talkjax_folder/size128", split=split, data_dir=sys.argv[2], download=False
)
assert source[0] == builder.as_data_source(split=split)[0]
record = source[0]["record"]
open(sys.argv[3], "wb").write(record)
layouts = [b.LAYOUT for b in vars(builders).values() if hasattr(b, "LAYOUT")]
assert tfds.builder_cls("talkjax_lrs2") is builders.TalkjaxLrs2
assert "tensorflow" not in sys.modules, "tensorflow was imported"
print(len(source), source[0]["identity"].decode(), *layouts)
"""


@pytest.mark.slow
def test_builder_gives_the_record_of_prepare_clip_without_tensorflow(grid, make_video, tmp_path):
    raw = tmp_path / "raw" / "anna"
    raw.mkdir(parents=True)
    shutil.copy(grid / "lbbq9s.mpg", raw)
    make_video(raw / "noface.mp4")
    written = tmp_path / "record"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, raw.parent, tmp_path / "out", written],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    count, identity, *layouts = done.stdout.split()[-8:]
    assert (count, identity) == ("1", "anna")
    assert sorted(layouts) == sorted(LAYOUTS)
    clip, _ = list_clips("folder", raw.parent)
    want = prepare_clip(clip, Settings()).record
    assert written.read_bytes() == schema.encode(want)
    rejected = tmp_path / "out" / "talkjax_folder" / "size128" / "1.0.0" / "rejected.json"
    assert json.loads(rejected.read_text()) == {
        "anna/noface.mp4": "no_face: no face found in 30 frames"
    }
