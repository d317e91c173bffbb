"""TensorFlow Datasets builders, one per layout: thin, on the same `prepare_clip`.

An example is {"clip_id", "identity", "record"}; `talkjax.data.schema.decode(example["record"])`
gives the record. Files are ArrayRecords, so `builder.as_data_source(split)` and
`tfds.data_source` read them at random places, without TensorFlow.

    builder = TalkjaxGrid(data_dir="tfds")
    builder.download_and_prepare(
        file_format="array_record",
        download_config=tfds.download.DownloadConfig(manual_dir="GRID"),
    )
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from data_prep.clip import Kept, prepare_clip
from data_prep.layouts import Clip, list_clips
from data_prep.settings import Settings
from talkjax.data import schema
from talkjax.errors import UserError


class _PreparedClips(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """What the builders share; a layout is all that they add."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Give the data set's folder as manual_dir."
    # Any other way to cut and filter is a config of its own.
    BUILDER_CONFIGS = (tfds.core.BuilderConfig(name="size128", description="128 px crops"),)
    LAYOUT: str
    CLIP_SETTINGS = Settings(size_px=128)

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(
            {
                "clip_id": tfds.features.Text(),
                "identity": tfds.features.Text(),
                # Text takes any bytes.
                "record": tfds.features.Text(doc="talkjax.data.schema, msgpack"),
            }
        )
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"Prepared talking-face clips, layout {self.LAYOUT}.",
            features=features,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict]]]:
        clips = list_clips(self.LAYOUT, Path(dl_manager.manual_dir))
        splits = sorted({clip.split for clip in clips})
        return {
            split: self._generate_examples([clip for clip in clips if clip.split == split])
            for split in splits
        }

    def _generate_examples(self, clips: list[Clip]) -> Iterator[tuple[str, dict[str, Any]]]:
        rejected = []
        for clip in clips:
            result = prepare_clip(clip, self.CLIP_SETTINGS)
            if not isinstance(result, Kept):
                rejected.append(f"{clip.name}: {result.filter}: {result.detail}")
                continue
            yield (
                clip.clip_id,
                {
                    "clip_id": clip.clip_id,
                    "identity": clip.identity,
                    "record": schema.encode(result.record),
                },
            )
        if len(rejected) == len(clips):
            raise UserError(f"none of {len(clips)} clips was kept, first {rejected[0]}")


class TalkjaxFolder(_PreparedClips):
    """Any folder of videos."""

    LAYOUT = "folder"


class TalkjaxGrid(_PreparedClips):
    """The GRID corpus."""

    LAYOUT = "grid"


class TalkjaxLrw(_PreparedClips):
    """Lip Reading in the Wild."""

    LAYOUT = "lrw"


class TalkjaxLrs2(_PreparedClips):
    """Lip Reading Sentences 2."""

    LAYOUT = "lrs2"


class TalkjaxHdtf(_PreparedClips):
    """High-definition Talking Face."""

    LAYOUT = "hdtf"


class TalkjaxVoxceleb2(_PreparedClips):
    """VoxCeleb2."""

    LAYOUT = "voxceleb2"
