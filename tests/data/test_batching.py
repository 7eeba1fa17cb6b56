import pytest
import torch

from espalier.data.baselines import REBER, constant, length, ngram, scores
from espalier.data.batching import Batches, by_length, shuffled, stratified
from espalier.data.strings import encode


def data(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(n, generator=generator) < 0.4).long()
    return torch.randint(5, 40, (n,), generator=generator) + 8 * labels, labels


@pytest.mark.parametrize("make", [stratified, shuffled])
@pytest.mark.parametrize("n, batch_size", [(1, 32), (31, 32), (100, 32), (997, 32), (64, 1), (10, 1000)])
def test_every_string_comes_once(make, n, batch_size):
    lengths, labels = data(n)
    batches = make(lengths, labels, batch_size, torch.Generator().manual_seed(0))
    assert torch.cat(batches).sort().values.tolist() == list(range(n))
    assert len(batches) == -(-n // batch_size) and max(map(len, batches)) <= batch_size


def test_stratified_batches_hold_both_classes_evenly_and_pad_little():
    lengths, labels = data(3200)
    batches = stratified(lengths, labels, 32, torch.Generator().manual_seed(0))
    share = float(labels.double().mean())
    assert all(abs(float(labels[batch].double().mean()) - share) < 0.05 for batch in batches)
    within = [
        int(lengths[batch][labels[batch] == k].max() - lengths[batch][labels[batch] == k].min())
        for batch in batches
        for k in (0, 1)
    ]
    assert sum(within) / len(within) < 1.5


def test_order_follows_the_generator():
    lengths, labels = data(500)
    first, again, other = (stratified(lengths, labels, 32, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert all(map(torch.equal, first, again))
    assert not all(map(torch.equal, first, other))


def test_batches_cut_the_padding():
    strings = encode(["A", "ABCD", "AB"], [0, 1, 0])
    tokens, lengths, labels = next(iter(Batches(strings, [torch.tensor([0, 2])])))
    assert tokens.tolist() == [[65, 0], [65, 66]] and lengths.tolist() == [1, 2] and labels.tolist() == [0, 0]
    assert [index.tolist() for index in by_length(strings.lengths, 2)] == [[0, 2], [1]]


def test_ngrams_longer_than_the_strings_say_nothing():
    strings = encode(["AB", "BA"], [1, 0])
    assert ngram(3)(strings, strings) == 0.5


def test_baselines_by_hand():
    train = encode(["AB", "BA", "AAB", "BBB"], [1, 0, 1, 0])
    test = encode(["AB", "ABB", "BAAB", "AAAB"], [1, 0, 0, 1])
    assert constant(train, test) == 0.5
    # Length 2 and 3 are ties, which count as valid; length 4 was not seen: the majority (tie: valid).
    assert length(train, test) == 0.5
    # Bigrams of valid strings: AB, AA. So AB and AAAB are valid, ABB and BAAB (BA) are not.
    assert ngram(2)(train, test) == 1.0
    # Trigrams: AAB. AB has none, ABB and BAA are unknown, AAA is unknown.
    assert ngram(3)(train, test) == 0.75
    assert list(scores(REBER, train, test)) == ["constant", "length", "bigram", "trigram"]
