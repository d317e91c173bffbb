"""TensorFlow Datasets builders, one per layout: thin, on the same `prepare_parts`.

An example is {"clip_id", "identity", "record"}; `talkjax.data.schema.decode(example["record"])`
gives the record. Files are ArrayRecords, so `builder.as_data_source(split)` and
`tfds.data_source` read them at random places, without TensorFlow. `rejected.json` lies beside
them: {source: reason} of the clips that were left out.

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

from data_prep.clip import prepare_parts
from data_prep.layouts import Clip, list_clips
from data_prep.outcome import Kept
from data_prep.settings import Settings
from talkjax.data import schema
from talkjax.data.writer import write_json
from talkjax.errors import UserError

REJECTED_NAME = "rejected.json"


def clip_features() -> tfds.features.FeaturesDict:
    """What an example holds."""
    return tfds.features.FeaturesDict(
        {
            "clip_id": tfds.features.Text(),
            "identity": tfds.features.Text(),
            # Text takes any bytes.
            "record": tfds.features.Text(doc="talkjax.data.schema, msgpack"),
        }
    )


class _PreparedClips(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """What the builders share; a layout is all that they add."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Give the data set's folder as manual_dir."
    # Any other way to cut and filter is a config of its own.
    BUILDER_CONFIGS = (tfds.core.BuilderConfig(name="size128", description="128 px crops"),)
    LAYOUT: str
    CLIP_SETTINGS = Settings(size_px=128)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"Prepared talking-face clips, layout {self.LAYOUT}.",
            features=clip_features(),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict]]]:
        clips = list_clips(self.LAYOUT, Path(dl_manager.manual_dir))
        splits = sorted({clip.split for clip in clips})
        rejected: dict[str, str] = {}
        return {
            split: self._generate_examples(
                [clip for clip in clips if clip.split == split], rejected
            )
            for split in splits
        }

    def _generate_examples(
        self, clips: list[Clip], rejected: dict[str, str]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """The examples of one split; adds to `rejected`, which the splits share."""
        kept, first_reject = 0, ""
        parts = (part for clip in clips for part in prepare_parts(clip, self.CLIP_SETTINGS))
        for clip, result in parts:
            if not isinstance(result, Kept):
                rejected[clip.name] = f"{result.filter}: {result.detail}"
                first_reject = first_reject or f"{clip.name}: {rejected[clip.name]}"
                continue
            kept += 1
            yield (
                clip.clip_id,
                {
                    "clip_id": clip.clip_id,
                    "identity": clip.identity,
                    "record": schema.encode(result.record),
                },
            )
        if not kept:
            raise UserError(f"none of {len(clips)} clips was kept, first {first_reject}")
        # While it builds, TFDS has a temporary folder here, which it renames at the end.
        write_json(Path(self.data_path, REJECTED_NAME), rejected)


def _builder(layout: str) -> type[_PreparedClips]:
    name = f"Talkjax{layout.capitalize()}"
    return type(name, (_PreparedClips,), {"LAYOUT": layout, "__module__": __name__})


# TFDS knows a builder by its class's name: "talkjax_grid".
TalkjaxFolder = _builder("folder")
TalkjaxGrid = _builder("grid")
TalkjaxHdtf = _builder("hdtf")
TalkjaxLrs2 = _builder("lrs2")
TalkjaxLrw = _builder("lrw")
TalkjaxVoxceleb2 = _builder("voxceleb2")
