import numpy as np
import pytest

from talkjax.infer import memory


def test_flat_and_sharp_addresses_have_known_perplexity():
    sharp = memory.sharpness(np.array([np.full(96, 1 / 96), np.eye(96)[3]], np.float32))
    np.testing.assert_allclose(sharp.perplexity, [96.0, 1.0], rtol=1e-5)
    np.testing.assert_allclose(sharp.top_weight, [1 / 96, 1.0], rtol=1e-6)


def test_top_slots_are_counted():
    addresses = np.array([[0.1, 0.9, 0.0], [0.2, 0.5, 0.3], [0.6, 0.2, 0.2]], np.float32)
    assert memory.top_slot_counts(addresses).tolist() == [1, 2, 0]


def test_a_frame_belongs_to_the_word_at_its_middle():
    # frame middles at 20, 60, 100, 140, 180 ms
    words = ((0.05, 0.11, "bin"), (0.13, 0.30, "blue"))
    spoken = memory.at_frames(words, num_frames=5, fps=25)
    assert spoken == ("sil", "bin", "bin", "blue", "blue")


def test_information_of_a_bijection_is_its_entropy():
    slots = np.arange(400) % 4
    table = memory.use_table(slots, [f"w{slot}" for slot in slots], num_slots=8, seed=0)
    assert table.names == ("w0", "w1", "w2", "w3")
    assert table.information_bits == pytest.approx(2.0)
    assert table.chance_bits < 0.1
    assert table.counts.sum(axis=0).tolist() == [100] * 4 + [0] * 4


def test_users_of_a_slot_come_with_their_shares():
    slots = np.array([3] * 10 + [1] * 4)
    spoken = ["m"] * 6 + ["p"] * 4 + ["a"] * 3 + ["m"]
    table = memory.use_table(slots, spoken, num_slots=5, seed=0)
    want = {3: (("m", 0.6), ("p", 0.4)), 1: (("a", 0.75), ("m", 0.25))}
    assert memory.slot_users(table, slots=3, names=2) == want
    assert list(memory.slot_users(table, slots=1, names=1)) == [3]


def test_information_of_unrelated_things_is_at_chance():
    generator = np.random.default_rng(0)
    words = generator.choice(["a", "b", "c"], 3000).tolist()
    table = memory.use_table(generator.integers(0, 5, 3000), words, num_slots=5, seed=0)
    assert table.information_bits == pytest.approx(table.chance_bits, abs=0.005)


def test_between_is_convex_and_reaches_both_ends():
    path = memory.between(np.eye(4, dtype=np.float32)[1], np.eye(4, dtype=np.float32)[2], steps=5)
    np.testing.assert_allclose(path[:, 1], [1, 0.75, 0.5, 0.25, 0])
    np.testing.assert_allclose(path.sum(axis=1), 1)


def test_most_different_pair_is_among_the_candidates():
    images = np.zeros([4, 2, 2, 3], np.uint8)
    images[1], images[2], images[3] = 50, 90, 255
    assert memory.most_different_pair(images, [0, 1, 2]) == (0, 2)


def test_summary_counts_every_frame():
    addresses = np.random.default_rng(0).dirichlet(np.ones(6), 50).astype(np.float32)
    facts = memory.summary(addresses)
    assert sum(facts["top_slot_frames"]) == 50
    assert sum(facts["perplexity_histogram"]["frames"]) == 50
