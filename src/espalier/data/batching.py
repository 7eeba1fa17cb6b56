"""Batches as index tensors: which strings are trained on together, in which order.

Padding costs a recurrent network its time, so strings of one batch should be about equally long. Buckets of plain length
are buckets of class wherever the classes differ in length, and stall the plain cells; hence buckets within each class.
"""

import torch


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
    """An iterable over the batches of one epoch of a `Split`, by index lists made beforehand: `(*inputs, targets)`, the
    sequences cut after the longest of the batch.

    No Python per example and no worker process: a batch is one indexing of tensors that stay on their device.
    """

    def __init__(self, split, indices):
        self.split = split
        lengths = split.lengths.cpu()
        self.longest = [int(lengths[index].max()) for index in indices]
        self.indices = [index.to(split.targets.device) for index in indices]

    def __len__(self):
        return len(self.indices)

    def __iter__(self):
        sequences, *others = self.split.inputs
        for index, longest in zip(self.indices, self.longest):
            yield sequences[index, :longest], *(tensor[index] for tensor in others), self.split.targets[index]


BATCHING = {"stratified": stratified, "random": shuffled}
