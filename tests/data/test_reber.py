import numpy as np
import pytest

from espalier.data import reber
from espalier.errors import InputError


@pytest.fixture(scope="module")
def made():
    return reber.generate(12_500, 12_500)


def texts(codes, lengths):
    return [bytes(row[:length]).decode() for row, length in zip(codes, lengths)]


@pytest.mark.parametrize("string", ["BTXSE", "BPVVE", "BPTVPXTTVVE", "BTSSXXTTVVE", "BTXXVPXTVVE", "BPTTTTVPSE"])
def test_accepts_strings_of_the_grammar(string):
    assert reber.is_valid(string)


@pytest.mark.parametrize(
    "string", ["", "B", "BTTVPXTVPSE", "BPSXXTTVPSE", "BTXSEE", "BTXS", "BTXSEB", "BNWZE", "btxse", "BTXSä", "BPTTTTVPSE "]
)
def test_rejects_the_others(string):
    assert not reber.is_valid(string)


def naive(string):
    """The automaton read off the definition, one letter at a time."""
    state = 0
    for letter in string:
        ways = dict(reber.GRAMMAR[state]) if state < reber.END else {}
        if letter not in ways:
            return False
        state = ways[letter]
    return state == reber.END


def test_agrees_with_a_letter_by_letter_reading(made):
    codes, lengths, labels, _ = made
    assert [naive(text) for text in texts(codes[:3000], lengths[:3000])] == labels[:3000].astype(bool).tolist()


def test_valid_strings_are_like_the_studys(made):
    _, lengths, labels, _ = made
    valid = lengths[labels == 1]
    assert len(valid) == 12_500 and valid.min() == 11
    assert valid.mean() == pytest.approx(23.64, abs=0.1)
    assert np.median(valid) == 23


def test_strings_are_distinct_and_kinds_have_their_shares(made):
    codes, lengths, labels, kinds = made
    assert len(set(texts(codes, lengths))) == 25_000
    assert {kind: int((kinds == kind).sum()) for kind in np.unique(kinds)} == {
        "valid": 12_500, "near": 5_000, "altered": 3_750, "foreign": 3_750,
    }  # fmt: skip
    assert (labels == (kinds == "valid")).all()


def test_length_says_nothing(made):
    _, lengths, labels, _ = made
    assert (np.bincount(lengths[labels == 1]) == np.bincount(lengths[labels == 0])).all()


def test_near_strings_are_one_edit_from_a_valid_one(made):
    codes, lengths, _, kinds = made
    for text in texts(codes[kinds == "near"][:40], lengths[kinds == "near"][:40]):
        edits = set()
        for i in range(1, len(text)):
            edits |= {text[:i] + text[i + 1 :]} | {text[:i] + letter + text[i:] for letter in "PSTVX"}
            edits |= {text[:i] + letter + text[i + 1 :] for letter in "PSTVX"}
        assert any(map(reber.is_valid, edits)), text


def test_altered_strings_keep_the_letters_and_foreign_ones_do_not(made):
    codes, lengths, _, kinds = made
    assert all(set(text) <= set("BEPSTVX") for text in texts(codes[kinds == "altered"], lengths[kinds == "altered"]))
    assert all(set(text) - set("BEPSTVX") for text in texts(codes[kinds == "foreign"], lengths[kinds == "foreign"]))
    assert all(text[0] == "B" and text[-1] == "E" and text.isupper() for text in texts(codes[:2000], lengths[:2000]))


def test_seed_decides(made):
    codes, lengths, *_ = reber.generate(50, 50, seed=1)
    again, same, *_ = reber.generate(50, 50, seed=1)
    other, *_ = reber.generate(50, 50, seed=2)
    assert (codes == again).all() and (lengths == same).all()
    assert codes.shape != other.shape or (codes != other).any()


@pytest.mark.parametrize("shares", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
def test_one_kind_alone(shares):
    *_, labels, kinds = reber.generate(200, 200, shares=shares)
    assert set(kinds[labels == 0]) == {reber.KINDS[shares.index(1.0)]}


def test_shares_must_sum_to_one():
    with pytest.raises(InputError, match="sum to 1"):
        reber.generate(10, 10, shares=(0.5, 0.5, 0.5))
