"""Batches as index tensors: which strings are trained on together, in which order.

Padding costs a recurrent network its time, so strings of one batch should be about equally long. Buckets of plain length
are buckets of class wherever the classes differ in length, and stall the plain cells; hence buckets within each class.
"""

import torch

#: Sequences per batch of an evaluation: large enough for the matrix products, small enough for the cache.
EVALUATED = 256


def stratified(lengths, labels, batch_size, generator):
    """Each class sorted by length (ties at random) and cut into as many pieces as there are batches; batch b is made of
    piece b of every class, so that it holds the classes in the proportion of the data. The order of batches is random.

    lengths, labels: `(N,)` on the CPU.  Returns: list of `ceil(N / batch_size)` index tensors that together hold every
    index once; with two classes none holds more than `batch_size` strings.
    """
    count = -(-len(labels) // batch_size)
    jitter = torch.rand(len(labels), generator=generator)
    pieces = []
    for label in torch.unique(labels):
        members = torch.nonzero(labels == label).flatten()
        members = members[torch.argsort(lengths[members] + jitter[members])]
        pieces.append(torch.tensor_split(members, count))
    # A class with a remainder has its longer pieces first (short strings): the next class gets them last.
    pieces = [piece if k % 2 == 0 else _tail_heavy(piece) for k, piece in enumerate(pieces)]
    batches = [torch.cat(parts) for parts in zip(*pieces)]
    return [batches[b] for b in torch.randperm(count, generator=generator).tolist()]


def _tail_heavy(pieces):
    members, count = torch.cat(pieces), len(pieces)
    small, extra = divmod(len(members), count)
    return torch.split(members, [small] * (count - extra) + [small + 1] * extra)


def shuffled(lengths, labels, batch_size, generator):
    """Random batches, as the study made them: a random order, cut every `batch_size` strings (the last may be smaller)."""
    return list(torch.split(torch.randperm(len(labels), generator=generator), batch_size))


def by_length(lengths, batch_size):
    """All strings, sorted by length, in batches: the least padding, for evaluation, where the order does not matter."""
    return list(torch.split(torch.argsort(lengths, stable=True), batch_size))


class Batches:
    """An iterable over the batches of one epoch of a `Split`, by index lists made beforehand: `(*inputs, targets)`, sequences
    (and targets of steps) cut after the longest of the batch.

    No Python per example and no worker process: a batch is one indexing of tensors that stay on their device.
    """

    def __init__(self, split, indices):
        self.split = split
        lengths = None if split.lengths is None else split.lengths.cpu()
        self.longest = [None if lengths is None else int(lengths[index].max()) for index in indices]
        self.indices = [index.to(split.targets.device) for index in indices]

    def __len__(self):
        return len(self.indices)

    def __iter__(self):
        sequences, *others = self.split.inputs
        targets, stepwise = self.split.targets, self.split.stepwise
        for index, longest in zip(self.indices, self.longest):
            first = sequences[index] if longest is None else sequences[index, :longest]
            own = targets[index, :longest] if stepwise else targets[index]
            yield first, *(tensor[index] for tensor in others), own


class Windows:
    """An iterable over the windows of a `Split` of running texts, in their order: `(tokens, lengths, targets)`, of all rows."""

    def __init__(self, split):
        self.split = split
        self.starts = range(0, split.sequences.shape[1], split.window)

    def __len__(self):
        return len(self.starts)

    def __iter__(self):
        for start in self.starts:
            part = slice(start, start + self.split.window)
            tokens = self.split.sequences[:, part]
            lengths = torch.full((len(tokens),), tokens.shape[1], device=tokens.device)
            yield tokens, lengths, self.split.targets[:, part]


def training_batches(split, batching, batch_size, generator):
    """The batches of one epoch. batching: `stratified`, where examples have lengths and a class each; or `random`."""
    if split.window:
        return Windows(split)
    classes = split.targets.ndim == 1 and not split.targets.is_floating_point()
    lengths, targets = split.lengths, split.targets.cpu()
    if batching == "random" or lengths is None:
        return Batches(split, shuffled(lengths, targets, batch_size, generator))
    lengths = lengths.cpu()
    return Batches(split, stratified(lengths, targets if classes else torch.zeros_like(lengths), batch_size, generator))


def evaluation_batches(split, batch_size=None, generator=None):
    """The batches to evaluate a `Split` on: sorted by length, or, with a generator, shuffled as the study did."""
    if split.window:
        return Windows(split)
    if generator is not None:
        return Batches(split, shuffled(split.lengths, split.targets, batch_size, generator))
    if split.lengths is None:
        return Batches(split, list(torch.split(torch.arange(len(split)), EVALUATED)))
    return Batches(split, by_length(split.lengths.cpu(), EVALUATED))
