"""The TFDS builder of the synthetic corpus writes the records of `talkjax synth`."""

import subprocess
import sys

import pytest

from data_prep.synthetic.corpus import clip_record
from data_prep.synthetic.settings import CorpusSettings
from talkjax.data import schema

# In a process of its own: TFDS warns on import, and TensorFlow must not be there afterwards.
SCRIPT = """
import sys
import tensorflow_datasets as tfds
from data_prep.synthetic.settings import CorpusSettings
from data_prep.tfds import synthetic
assert tfds.builder_cls("synthetic_talking_faces") is synthetic.SyntheticTalkingFaces
settings = CorpusSettings(clips=3, size_px=32, seed=1, command_fraction=1.0)
config = synthetic.SyntheticConfig("tiny", settings)
builder = synthetic.SyntheticTalkingFaces(data_dir=sys.argv[1], config=config)
builder.download_and_prepare(
    file_format="array_record",
    download_config=tfds.download.DownloadConfig(num_shards=1),
)
for split in ("train", "val", "test"):
    (example,) = builder.as_data_source(split=split)
    open(f"{sys.argv[1]}/{split}.record", "wb").write(example["record"])
assert "tensorflow" not in sys.modules, "tensorflow was imported"
print(*(config.name for config in synthetic.SyntheticTalkingFaces.BUILDER_CONFIGS))
"""


@pytest.mark.slow
def test_the_builder_gives_the_records_of_synth_without_tensorflow(tmp_path):
    pytest.importorskip("tensorflow_datasets", reason="the extra [tfds] is not installed")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "clips200_size128" in done.stdout.split()
    settings = CorpusSettings(clips=3, size_px=32, seed=1, command_fraction=1.0)
    for number in range(3):
        record = clip_record(settings, number)
        assert (tmp_path / f"{record.split}.record").read_bytes() == schema.encode(record)
