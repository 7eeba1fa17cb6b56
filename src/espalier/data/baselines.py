"""What a model must be held against: rules that need no learning worth the name, fitted on the training split.

All return the accuracy on `test` as a float in [0, 1].
"""

import torch


def constant(train, test):
    """The most frequent label of the training examples (of equals, the last), for every example."""
    return _share(test.targets == _most_frequent(train.targets))


def length(train, test):
    """The most frequent label among the training examples of the same length; of unseen lengths, of all of them."""
    overall, rule = _most_frequent(train.targets), {}
    for value in torch.unique(train.lengths).tolist():
        rule[value] = _most_frequent(train.targets[train.lengths == value])
    guesses = torch.tensor([rule.get(value, overall) for value in test.lengths.tolist()])
    return _share(guesses == test.targets)


def _most_frequent(labels):
    counts = torch.bincount(labels)
    return int(torch.nonzero(counts == counts.max()).max())


def nearest_mean(train, test):
    """The label of the training sequence whose mean over its steps is nearest."""
    means, wanted = _means(train), _means(test)
    return _share(train.targets[torch.cdist(wanted, means).argmin(1)] == test.targets)


def _means(split):
    real = torch.arange(split.sequences.shape[1])[None] < split.lengths[:, None]
    return (split.sequences.double() * real[..., None]).sum(1) / split.lengths[:, None]


def character_bayes(n):
    """Naive Bayes on the counts of runs of n characters (multinomial, one added to every count), as a baseline."""

    def baseline(train, test):
        codes = 1 + int(max(train.sequences.max(), test.sequences.max()))
        grams, real = _grams(train, n, codes)
        known = torch.unique(grams[real])
        if not len(known):
            return constant(train, test)
        counts = torch.ones(int(train.targets.max()) + 1, len(known), dtype=torch.float64)
        place = torch.searchsorted(known, grams).clamp(max=len(known) - 1)
        labels = train.targets[:, None].expand_as(grams)
        counts.index_put_((labels[real], place[real]), torch.ones((), dtype=torch.float64), accumulate=True)
        share = (counts / counts.sum(1, keepdim=True)).log()
        prior = (torch.bincount(train.targets, minlength=len(counts)).double() / len(train)).log()
        grams, real = _grams(test, n, codes)
        place = torch.searchsorted(known, grams).clamp(max=len(known) - 1)
        seen = real & (known[place] == grams)
        guesses = (prior + (share.t()[place] * seen[..., None]).sum(1)).argmax(1)
        return _share(guesses == test.targets)

    return baseline


def ngram(n):
    """The rule "valid if and only if every run of n letters occurs in a valid training string", as a baseline."""

    def baseline(train, test):
        valid = train[train.targets == 1]
        grams, real = _grams(valid, n)
        known = torch.unique(grams[real])
        grams, real = _grams(test, n)
        return _share((torch.isin(grams, known) | ~real).all(dim=1) == test.targets.bool())

    return baseline


def _grams(strings, n, codes=256):
    """Every run of n letters, of so many codes, as one number `(N, T-n+1)`, and which of them end inside their string."""
    short = max(n - strings.sequences.shape[1], 0)
    windows = torch.nn.functional.pad(strings.sequences.long(), (0, short)).unfold(1, n, 1)
    weights = codes ** torch.arange(n)
    ends = torch.arange(windows.shape[1])[None] + n
    return (windows * weights).sum(-1), ends <= strings.lengths[:, None]


def _share(right):
    return float(right.double().mean())


#: By what the data are.
REBER = {"constant": constant, "length": length, "bigram": ngram(2), "trigram": ngram(3)}
STRINGS = {"constant": constant, "length": length, "bigram": character_bayes(2), "trigram": character_bayes(3)}
SEQUENCES = {"constant": constant, "length": length, "nearest mean": nearest_mean}


def scores(rules, train, test):
    """Accuracy on `test` of every rule, by name."""
    return {name: rule(train, test) for name, rule in rules.items()}


def told(reached, train, validation, test):
    """The keywords of `Data` that hold what rules reach on test and, where there are any examples, on validation.

    reached: function from (train, split) to values by name.
    """
    judged = reached(train, validation) if len(validation) else {}
    return {"baselines": reached(train, test), "validation_baselines": judged}
