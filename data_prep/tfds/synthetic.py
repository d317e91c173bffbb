"""TensorFlow Datasets builder of the synthetic corpus: the records of `talkjax synth`.

An example is that of `builders`: {"clip_id", "identity", "record"}.

    builder = SyntheticTalkingFaces(data_dir="tfds", config="clips200_size128")
    builder.download_and_prepare(file_format="array_record")

Any other corpus is a config of its own:

    SyntheticTalkingFaces(
        data_dir="tfds", config=SyntheticConfig("mine", CorpusSettings(clips=50, seed=7))
    )
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from data_prep.synthetic.corpus import clip_record
from data_prep.synthetic.plan import clip_at
from data_prep.synthetic.settings import CorpusSettings
from data_prep.tfds.builders import clip_features
from talkjax.data import schema


@dataclasses.dataclass
class SyntheticConfig(tfds.core.BuilderConfig):
    """A corpus; its name is a folder's name, so equal names must mean equal settings."""

    corpus: CorpusSettings | None = None

    def __init__(self, name: str, corpus: CorpusSettings):
        super().__init__(
            name=name,
            description=f"{corpus.clips} clips of {corpus.identities} faces, {corpus.size_px} px",
        )
        self.corpus = corpus


class SyntheticTalkingFaces(tfds.core.GeneratorBasedBuilder):
    """Drawn faces that speak with espeak-ng's voices; nothing is downloaded."""

    VERSION = tfds.core.Version("1.1.0")
    BUILDER_CONFIGS = tuple(
        SyntheticConfig(f"clips{clips}_size{size_px}", CorpusSettings(clips=clips, size_px=size_px))
        for clips, size_px in ((200, 128), (2000, 128), (2000, 256))
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Synthetic talking faces with phones, lips, head and blinks known exactly.",
            features=clip_features(),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict]]]:
        settings = self.builder_config.corpus
        splits: dict[str, list[int]] = {}
        for number in range(settings.clips):
            splits.setdefault(clip_at(settings, number).split, []).append(number)
        return {split: self._generate_examples(splits[split]) for split in sorted(splits)}

    def _generate_examples(self, numbers: list[int]) -> Iterator[tuple[str, dict[str, Any]]]:
        """The examples of one split."""
        for number in numbers:
            record = clip_record(self.builder_config.corpus, number)
            yield (
                record.clip_id,
                {
                    "clip_id": record.clip_id,
                    "identity": record.identity,
                    "record": schema.encode(record),
                },
            )
