"""Texts that run on, and generated data, by hand."""

import math

import pytest
import torch

from espalier import SequenceClassifier, data, tasks
from espalier.data.batching import Windows
from espalier.data.reber import is_valid
from espalier.data.text import bits
from espalier.errors import InputError
from espalier.learning.evaluation import evaluate
from espalier.learning.learner import Learner
from espalier.runs.identity import plain
from espalier.settings import Adding, Copy, EmbeddedReber, Text, TokenKind

CPU = torch.device("cpu")


def text(tmp_path, content, **changes):
    path = tmp_path / "input.txt"
    path.write_text(content, encoding="utf-8")
    settings = dict(batch_size=2, window=3, validation_fraction=0.25, test_fraction=0.25) | changes
    return data.load(plain(Text(path=str(path), **settings)))


def test_parts_follow_each_other_and_codes_are_of_train(tmp_path):
    loaded = text(tmp_path, "abcabcab" + "cbca" + "xyba")
    assert loaded.train.sequences.tolist() == [[1, 2, 3, 1], [2, 3, 1, 0]]
    assert loaded.train.targets.tolist() == [[2, 3, 1, 2], [3, 1, 2, -100]]
    assert loaded.sizes == {"codes": 5, "outputs": 5} and loaded.facts["unknown_in_test"] == 2
    assert loaded.test.sequences.tolist() == [[4, 4], [2, 0]] and loaded.test.targets.tolist() == [[4, 2], [1, -100]]
    assert loaded.train.sequences.dtype == torch.uint8
    windows = list(Windows(loaded.train))
    assert [tokens.tolist() for tokens, _, _ in windows] == [[[1, 2, 3], [2, 3, 1]], [[1], [0]]]
    assert [lengths.tolist() for _, lengths, _ in windows] == [[3, 3], [1, 1]]


def test_words_and_bytes(tmp_path):
    words = text(tmp_path, "to be or not to be or not to be " * 4, tokens=TokenKind.words)
    assert words.sizes["codes"] == 4 + 2
    assert text(tmp_path, "ä" * 40, tokens=TokenKind.bytes).facts["tokens"] == 80


def test_bits_by_hand():
    train, test = torch.tensor([1, 1, 2, 1]).numpy(), torch.tensor([1, 2, 3]).numpy()
    # Unigrams: seen 4, kinds 2, uniform 1/4: P(1) = (3 + 2/4)/6, P(2) = (1 + 2/4)/6, P(3) = (0 + 2/4)/6.
    p = [3.5 / 6, 1.5 / 6, 0.5 / 6]
    assert bits(train, test, 1, 4) == pytest.approx(-sum(map(math.log2, p)) / 3)
    # After 1 came 1 and 2 (two kinds, twice); after 2 came 1 once.
    q = [p[0], (1 + 2 * p[1]) / 4, (0 + 1 * p[2]) / 2]
    assert bits(train, test, 2, 4) == pytest.approx(-sum(map(math.log2, q)) / 3)


def test_texts_that_are_too_short_are_told(tmp_path):
    with pytest.raises(InputError, match=r"too few for 20 rows; lower data\.batch_size"):
        text(tmp_path, "abc" * 10, batch_size=20)


@pytest.mark.parametrize("cell", ["rnn_tanh", "rnn_relu", "gru", "lstm"])
def test_carried_states_make_windows_one_long_text(cell):
    """Outputs do not depend on where a text is cut into windows, in training as in evaluation."""
    torch.manual_seed(0)
    model = SequenceClassifier(cell, (5, 4), codes=6, outputs=6, readout="every_step").double()
    tokens = torch.randint(1, 6, (3, 12))
    for training in (True, False):
        model.train(training)
        whole = model(tokens, torch.full((3,), 12))
        states, parts = (), []
        for part in tokens.split(5, 1):
            outputs, states = model(part, torch.full((3,), part.shape[1]), states=states)
            parts.append(outputs)
        torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", ["rnn_tanh", "gru"])
def test_gradients_of_a_window_that_goes_on_are_torchs(cell):
    torch.manual_seed(0)
    model = SequenceClassifier(cell, (5,), codes=6, outputs=6, readout="every_step").double()
    tokens, lengths = torch.randint(1, 6, (3, 4)), torch.full((3,), 4)
    begin = torch.randn(1, 3, 5, dtype=torch.float64)
    results = []
    for start in ((begin,), None):
        model.zero_grad()
        if start:
            outputs, _ = model.train()(tokens, lengths, states=start)
        else:
            states = model.recurrent.layers[0](model.embedding(tokens.t()), begin)[0]
            outputs = model.head(states.transpose(0, 1))
        outputs.square().sum().backward()
        results.append([outputs, *(parameter.grad.clone() for parameter in model.parameters())])
    for ours, theirs in zip(*results):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_an_epoch_carries_its_states_and_starts_from_zero(tmp_path):
    loaded = text(tmp_path, "abcabcab" + "cbca" + "abba")
    torch.manual_seed(0)
    model = SequenceClassifier("gru", (4,), **loaded.sizes, readout="every_step")
    task, optimizer = tasks.load({"name": "next_token"}), {"name": "sgd", "lr": 0.0, "weight_decay": 0.0}
    learner = Learner(model, task, optimizer, carried=True)
    for _ in range(2):
        learner.on_train_epoch_start()
        for index, batch in enumerate(Windows(loaded.train)):
            learner.training_step(batch, index)
        seen = learner.train_score()
        told = evaluate(model, task, Windows(loaded.train), CPU, carried=True)
        assert seen.value == pytest.approx(told.value, rel=1e-5) and seen.loss == pytest.approx(told.loss, rel=1e-5)


def test_adding_asks_for_the_sum_of_two_marked_numbers():
    loaded = data.load(plain(Adding(train_size=200, test_size=50, steps=9)))
    values, marks = loaded.train.sequences.unbind(2)
    assert (marks.sum(1) == 2).all() and (marks[:, :4].sum(1) == 1).all()
    torch.testing.assert_close((values * marks).sum(1, keepdim=True), loaded.train.targets)
    assert 0.3 < loaded.baselines["constant"] < 0.5 and len(loaded.validation) == 20


def test_copy_asks_for_the_first_symbols_after_the_signal():
    loaded = data.load(plain(Copy(train_size=50, test_size=20, symbols=4, length=3, delay=5)))
    tokens, targets = loaded.test.sequences, loaded.test.targets
    assert tokens.shape[1] == 11 and torch.equal(tokens[:, :3].long(), targets[:, -3:])
    assert (targets[:, :-3] == -100).all() and (tokens[:, 7] == 6).all()  # the step after the signal is the first answer
    assert set(tokens[:, 3:7].flatten().tolist()) == {5} == set(tokens[:, 8:].flatten().tolist())


def test_embedded_reber_strings_and_their_floor():
    loaded = data.load(plain(EmbeddedReber(train_size=100, test_size=100)))
    letters = "-BEPSTVX"
    for row, length in zip(loaded.train.sequences.tolist(), loaded.train.lengths.tolist()):
        string = "".join(letters[code] for code in row[:length])
        assert string[0] == "B" and string[1] in "TP" and string[-1] == string[1] and is_valid(string[2:-1])
    floor = loaded.baselines["the grammar itself"]
    assert floor < loaded.baselines["trigram"] < loaded.baselines["bigram"] < loaded.baselines["unigram"]
    # Every letter is one of at most two: one bit for each but B, E and what is forced.
    free = [length - 4 for length in loaded.test.lengths.tolist()]
    assert floor == pytest.approx(sum(free) / int(loaded.test.lengths.sum()))
