import dataclasses

import numpy as np

from talkjax.media.shots import shot_cuts


@dataclasses.dataclass
class Frame:
    rgb: np.ndarray


def scene(seed, num_frames, brightness=0.0):
    """A textured picture panning slowly."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (12, 16, 3)).astype(np.uint8)
    wide = np.kron(coarse, np.ones((20, 20, 1), dtype=np.uint8))
    for index in range(num_frames):
        shown = np.roll(wide, 2 * index, axis=1) + brightness * index
        yield Frame(np.clip(shown, 0, 255).astype(np.uint8))


def test_cuts_are_found_where_the_shots_change():
    film = [*scene(0, 8), *scene(1, 5), *scene(2, 6)]
    assert shot_cuts(iter(film)) == (8, 13)


def test_motion_and_slow_light_are_no_cuts():
    assert shot_cuts(scene(0, 20)) == ()
    assert shot_cuts(scene(0, 20, brightness=1.5)) == ()


def test_a_film_without_frames_has_no_cuts():
    assert shot_cuts(iter(())) == ()


def test_a_damaged_start_shows_as_a_cut_and_sound_clips_have_none(shared):
    from talkjax.media.video import FrameReader

    public = shared / "data" / "public"
    # Its first 12 frames are grey (README of the set).
    with FrameReader(public / "grid_s1" / "prii9a.mpg") as reader:
        assert 12 in shot_cuts(reader)
    with FrameReader(public / "wild" / "id06_sadtalker_ref1.mp4") as reader:
        assert shot_cuts(reader) == ()
