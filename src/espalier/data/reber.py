"""The Reber grammar (Reber 1967, as in Hochreiter & Schmidhuber 1997): automaton, valid strings, invalid strings.

Strings are rows of a `uint8` array of ASCII codes `(N, T)`, zero after the end, with their lengths `(N,)`.
"""

from functools import lru_cache, partial

import numpy as np
import torch

from espalier.data import baselines
from espalier.data.split import Data, Split
from espalier.data.strings import CODES, split_train
from espalier.errors import InputError
from espalier.runs.seeds import stream

#: state -> ((letter, next state), (letter, next state)); state 7 is the end.
GRAMMAR = (
    (("B", 1), ("B", 1)),
    (("T", 2), ("P", 3)),
    (("S", 2), ("X", 4)),
    (("T", 3), ("V", 5)),
    (("X", 3), ("S", 6)),
    (("P", 4), ("V", 6)),
    (("E", 7), ("E", 7)),
)
END, DEAD = 7, 8
CHOICES = (1, 2, 3, 4, 5)  # the states with two different ways out
KINDS = ("near", "altered", "foreign")
LABELS = ("invalid", "valid")
LONGEST = 96  # a walk this long has a probability below 2**-40
FIRST_WALKS, MORE_WALKS = 2_000_000, 100_000

#: Letter and next state by 2 * state + way.
_LETTERS = np.array([ord(letter) for row in GRAMMAR for letter, _ in row], dtype=np.uint8)
_NEXT = np.array([state for row in GRAMMAR for _, state in row], dtype=np.uint8)
_STEP = np.full((DEAD + 1, 256), DEAD, dtype=np.uint8)
for _state, _row in enumerate(GRAMMAR):
    for _letter, _target in _row:
        _STEP[_state, ord(_letter)] = _target
_INNER = np.frombuffer(b"PSTVX", dtype=np.uint8)
_CAPITALS = np.frombuffer(b"ACDFGHIJKLMNOPQRSTUVWXYZ", dtype=np.uint8)  # all but B and E, which frame every string


def accepts(codes, lengths):
    """Whether the automaton ends in its final state after exactly `lengths[n]` letters of row n: bool `(N,)`."""
    codes, lengths = np.atleast_2d(codes), np.atleast_1d(lengths)
    state = np.zeros(len(codes), dtype=np.uint8)
    for t in range(min(codes.shape[1], int(lengths.max(initial=0)))):
        state = np.where(t < lengths, _STEP[state, codes[:, t]], state)
    return state == END


def is_valid(string):
    """Whether one Python string belongs to the grammar."""
    codes = np.frombuffer(string.encode("ascii", "replace"), dtype=np.uint8)
    return bool(accepts(codes[None], np.array([len(codes)]))[0]) if len(codes) else False


def walk(count, rng, swapped=None):
    """`count` uniform walks from B to E: codes `(count, LONGEST)` and lengths `(count,)`.

    swapped: bool `(count, 7)`, the states at which this walk's automaton has its two letters exchanged.
    """
    codes = np.zeros((count, LONGEST), dtype=np.uint8)
    lengths = np.zeros(count, dtype=np.int64)
    active, state = np.arange(count), np.zeros(count, dtype=np.uint8)
    for t in range(LONGEST):
        place = 2 * state + rng.integers(0, 2, len(active), dtype=np.uint8)
        letter = place if swapped is None else place ^ swapped[active, state]
        codes[active, t] = _LETTERS[letter]
        state = _NEXT[place]
        going = state != END
        if not going.all():
            lengths[active[~going]] = t + 1
            active, state = active[going], state[going]
        if not len(active):
            break
    whole = lengths > 0
    return codes[whole], lengths[whole]


def _keys(codes):
    """A 64-bit hash of each row; two rows of one key count as the same string."""
    key = np.zeros(len(codes), dtype=np.uint64)
    for word in np.ascontiguousarray(codes).view(np.uint64).T:
        key = (key ^ word) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key


class _Pool:
    """Distinct strings in the order in which they came."""

    def __init__(self):
        self.codes = np.zeros((0, LONGEST), dtype=np.uint8)
        self.lengths = np.zeros(0, dtype=np.int64)

    def add(self, codes, lengths):
        codes, lengths = np.concatenate([self.codes, codes]), np.concatenate([self.lengths, lengths])
        first = np.sort(np.unique(_keys(codes), return_index=True)[1])
        self.codes, self.lengths = codes[first], lengths[first]

    def of_length(self, length):
        return self.codes[self.lengths == length]


def _valid_pool(count, rng, shortest):
    pool, walks = _Pool(), FIRST_WALKS
    while len(pool.lengths) < count:
        codes, lengths = walk(walks, rng)
        long_enough = lengths >= shortest
        pool.add(codes[long_enough], lengths[long_enough])
        walks = MORE_WALKS
    return pool


def _altered_pool(count, rng, shortest):
    """Walks of the automaton with the letters exchanged at a random non-empty set of its five choices."""
    pool = _Pool()
    while len(pool.lengths) < count:
        chosen = rng.integers(1, 2 ** len(CHOICES), FIRST_WALKS)
        swapped = np.zeros((FIRST_WALKS, len(GRAMMAR)), dtype=np.uint8)
        for bit, state in enumerate(CHOICES):
            swapped[:, state] = (chosen >> bit) & 1
        codes, lengths = walk(FIRST_WALKS, rng, swapped)
        wanted = lengths >= shortest
        codes, lengths = codes[wanted], lengths[wanted]
        wrong = ~accepts(codes, lengths)
        pool.add(codes[wrong], lengths[wrong])
    return pool


def _one_edit(pool, length, count, rng):
    """`count` valid strings with one letter between B and E substituted, deleted or inserted, then `length` long.

    The results may still be valid, or repeat; the caller sorts that out.
    """
    sources = [(edit, pool.of_length(length + shift)) for edit, shift in (("sub", 0), ("del", 1), ("ins", -1))]
    sources = [(edit, rows) for edit, rows in sources if len(rows)]
    made = []
    for (edit, rows), share in zip(sources, np.bincount(rng.integers(0, len(sources), count), minlength=len(sources))):
        row = rows[rng.integers(0, len(rows), share)]
        source_length = length + {"sub": 0, "del": 1, "ins": -1}[edit]
        position = rng.integers(1, source_length - 1 + (edit == "ins"), share)[:, None]
        letter = _INNER[rng.integers(0, len(_INNER), share)][:, None]
        t = np.arange(LONGEST)[None]
        if edit == "sub":
            row = np.where(t == position, letter, row)
        elif edit == "del":
            row = np.where(t < position, row, np.roll(row, -1, axis=1))
        else:
            row = np.where(t < position, row, np.where(t == position, letter, np.roll(row, 1, axis=1)))
        made.append(row.astype(np.uint8))
    return np.concatenate(made)


def _relabel(rows, rng):
    """The inner letters of each row renamed, one to one, into capitals of which at least one is foreign."""
    order = np.argsort(rng.random((len(rows), len(_CAPITALS))), axis=1)[:, : len(_INNER)]
    names = _CAPITALS[order]
    table = np.tile(np.arange(256, dtype=np.uint8), (len(rows), 1))
    table[:, _INNER] = names
    return np.take_along_axis(table, rows.astype(np.int64), axis=1)


def _foreign(codes):
    known = np.isin(codes, np.frombuffer(b"\0BEPSTVX", dtype=np.uint8))
    return ~known.all(axis=1)


def generate(valid, invalid, seed=0, shares=(0.4, 0.3, 0.3), shortest=11):
    """Distinct strings: `valid` of the grammar, `invalid` outside it and as long as the valid ones.

    Valid strings are a uniform sample of the distinct ones met in two million uniform walks (and as many more as it takes)
    that are at least `shortest` long: mean 23.6, median 23, like the study's. Invalid ones come in three kinds, in `shares`:

    near     a valid string with one letter substituted, deleted or inserted;
    altered  a walk of the automaton with its letters exchanged at some states, over the same letters;
    foreign  a valid string whose letters were renamed into capitals that are not all of the grammar.

    Their lengths are drawn from the valid strings' own (exactly those when `valid == invalid`), so that length says nothing.
    Every string is checked by the automaton.

    Returns: codes `(N, T)` uint8, lengths `(N,)` int64, labels `(N,)` int64 (1 = valid), kinds `(N,)` str, in random order.
    Raises: InputError if shares are negative or do not sum to 1.
    """
    shares = np.asarray(shares, dtype=float)
    if len(shares) != len(KINDS) or (shares < 0).any() or abs(shares.sum() - 1) > 1e-9:
        raise InputError(f"data.shares must be three shares ({', '.join(KINDS)}) that sum to 1, got {shares.tolist()}")
    return tuple(part.copy() for part in _generated(valid, invalid, seed, tuple(shares.tolist()), shortest))


@lru_cache(maxsize=4)  # of the jobs of a sweep, most want the same
def _generated(valid, invalid, seed, shares, shortest):
    rng = np.random.default_rng(seed)
    pool = _valid_pool(max(valid, 1), rng, shortest)
    chosen = rng.permutation(len(pool.lengths))[:valid]
    lengths = pool.lengths[chosen]
    rounds = -(-invalid // max(len(lengths), 1))
    wanted = np.concatenate([rng.permutation(lengths) for _ in range(rounds)])[:invalid] if rounds else lengths[:0]

    quota = np.round(np.cumsum(shares) * invalid).astype(int)
    near, altered = quota[0], quota[1] - quota[0]
    altered_pool = _altered_pool(2 * altered, rng, shortest) if altered else _Pool()
    # The longest strings are too rare to be found altered; their places go to the other two kinds, the shares stay.
    supply = np.bincount(altered_pool.lengths, minlength=LONGEST + 1)
    rank = np.zeros(len(wanted), dtype=np.int64)
    by_length = np.argsort(wanted, kind="stable")
    starts = np.searchsorted(wanted[by_length], np.arange(LONGEST + 2))
    rank[by_length] = np.arange(len(wanted)) - starts[wanted[by_length]]
    places = np.flatnonzero(rank < supply[wanted])[:altered]
    if len(places) < altered:
        raise InputError(f"only {len(places)} altered strings of the right lengths exist; lower data.shares.altered")
    kind = np.full(len(wanted), KINDS.index("foreign"))
    kind[places] = KINDS.index("altered")
    kind[np.setdiff1d(np.arange(len(wanted)), places)[:near]] = KINDS.index("near")

    codes, made_lengths, kinds = [pool.codes[chosen]], [lengths], [np.full(len(lengths), "valid", dtype=object)]
    for index, name in enumerate(KINDS):
        for length in np.unique(wanted[kind == index]):
            count = int(((kind == index) & (wanted == length)).sum())
            if name == "altered":
                rows = altered_pool.of_length(length)
                rows = rows[rng.permutation(len(rows))[:count]]
            else:
                rows = _draw(name, pool, altered_pool, length, count, rng)
            codes.append(rows)
            made_lengths.append(np.full(count, length))
            kinds.append(np.full(count, name, dtype=object))
    codes, lengths, kinds = np.concatenate(codes), np.concatenate(made_lengths), np.concatenate(kinds)
    labels = (kinds == "valid").astype(np.int64)
    if (accepts(codes, lengths) != labels.astype(bool)).any() or len(np.unique(_keys(codes))) != len(codes):
        raise AssertionError("the generator made a string with the wrong label, or one twice")
    order = rng.permutation(len(codes))
    return codes[order, : lengths.max(initial=1)], lengths[order], labels[order], kinds[order].astype(str)


def _draw(name, pool, altered_pool, length, count, rng):
    """`count` distinct invalid strings of one kind and length, none of which is in the altered pool."""
    taken = _keys(altered_pool.of_length(length))
    rows = np.zeros((0, LONGEST), dtype=np.uint8)
    while len(rows) < count:
        if name == "near":
            fresh = _one_edit(pool, length, 4 * count + 16, rng)
            fresh = fresh[~accepts(fresh, np.full(len(fresh), length))]
        else:
            sources = pool.of_length(length)
            fresh = _relabel(sources[rng.integers(0, len(sources), 2 * count + 8)], rng)
            fresh = fresh[_foreign(fresh)]
        rows = np.concatenate([rows, fresh[~np.isin(_keys(fresh), taken)]])
        rows = rows[np.sort(np.unique(_keys(rows), return_index=True)[1])]
    return rows[:count]


def load(settings):
    """`Data` of generated strings.  settings: train_size, test_size, validation_fraction, min_length, shares, seed."""
    train_size, test_size = settings["train_size"], settings["test_size"]
    if not train_size or not test_size:
        raise InputError("data=reber needs data.train_size and data.test_size")
    valid = (train_size + test_size) // 2
    shares = tuple(settings["shares"][name] for name in KINDS)
    seed = stream(settings["seed"], "reber")
    codes, lengths, labels, kinds = generate(valid, train_size + test_size - valid, seed, shares, settings["min_length"])
    strings = Split((torch.from_numpy(codes), torch.from_numpy(lengths)), torch.from_numpy(labels))
    rng = np.random.default_rng(stream(settings["seed"], "split"))
    train, test = split_train(strings, test_size / len(strings), rng)
    train, validation = split_train(train, settings["validation_fraction"], rng)
    facts = {"source": "generated", **{f"invalid_{kind}": int((kinds == kind).sum()) for kind in KINDS}}
    rules = baselines.told(partial(baselines.scores, baselines.REBER), train, validation, test)
    return Data(train, validation, test, {"codes": CODES, "outputs": 2}, LABELS, facts=facts, **rules)
