"""The record survives its bytes, and bytes that are no record are refused."""

import dataclasses

import hypothesis
import hypothesis.strategies as st
import msgpack
import numpy as np
import pytest

from talkjax.data import schema


@st.composite
def record_fields(draw):
    """Keyword arguments of a Record; made outside, as checked constructors draw at random."""
    t = draw(st.integers(1, 4))
    samples = t * 640

    rng = np.random.default_rng(draw(st.integers(0, 2**32)))

    def numbers(dtype, *shape):
        return (100 * rng.standard_normal(shape)).astype(dtype)

    text = st.text(max_size=8)
    return dict(
        clip_id=draw(text),
        source=draw(text),
        identity=draw(text),
        split=draw(st.sampled_from(["train", "val", "test"])),
        size_px=draw(st.integers(1, 1024)),
        frames_jpeg=tuple(draw(st.binary(max_size=20)) for _ in range(t)),
        frame_times_s=numbers(np.float64, t),
        audio_i16=numbers(np.int16, samples),
        mel=numbers(np.float16, 1 + samples // 200, 80),
        landmarks_xy_px=numbers(np.float32, t, 5, 2),
        box_xyxy_px=numbers(np.float32, t, 4),
        crop_to_source=numbers(np.float32, t, 2, 3),
        source_hw=draw(st.tuples(st.integers(1, 4000), st.integers(1, 4000))),
        words=tuple(draw(st.lists(st.tuples(st.just(0.25), st.just(0.5), text), max_size=2))),
        labels=draw(st.dictionaries(text, st.just(np.arange(3.0)), max_size=2)),
        texts=draw(st.dictionaries(text, text, max_size=2)),
    )


def _same(a: schema.Record, b: schema.Record) -> None:
    for field in dataclasses.fields(schema.Record):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if field.name == "labels":
            assert left.keys() == right.keys()
            for name in left:
                np.testing.assert_array_equal(left[name], right[name])
        elif isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)
        else:
            assert left == right, field.name


# hypothesis watches the global `random`; a thread that another test left may draw from it
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(record_fields())
def test_a_record_comes_back_from_its_bytes_as_it_was(fields):
    record = schema.Record(**fields)
    data = schema.encode(record)
    _same(schema.decode(data), record)
    assert schema.encode(schema.decode(data)) == data


@hypothesis.settings(max_examples=50, deadline=None)
@hypothesis.given(st.binary(max_size=64))
def test_random_bytes_are_no_record(data):
    with pytest.raises(ValueError, match=r"not a TalkJAX record|schema version"):
        schema.decode(data)


def test_another_schema_version_is_refused_with_both_numbers(telltale):
    payload = msgpack.unpackb(schema.encode(telltale(2)))
    payload["version"] = 7
    with pytest.raises(ValueError, match="got 7, want 1"):
        schema.decode(msgpack.packb(payload))


def test_cut_off_bytes_are_refused(telltale):
    data = schema.encode(telltale(2))
    with pytest.raises(ValueError, match="not a TalkJAX record"):
        schema.decode(data[:-1])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frames_jpeg", ()),
        ("audio_i16", np.zeros(641, np.int16)),
        ("audio_i16", np.zeros(1280, np.float32)),
        ("mel", np.zeros((6, 80), np.float16)),
        ("box_xyxy_px", np.zeros((3, 4), np.float32)),
    ],
)
def test_a_record_that_breaks_the_schema_is_not_encoded(telltale, field, value):
    with pytest.raises(ValueError, match="telltale"):
        schema.encode(dataclasses.replace(telltale(2), **{field: value}))
