"""What a model must be held against: rules that need no learning worth the name, fitted on the training strings.

All return the accuracy on `test` as a float in [0, 1].
"""

import torch


def constant(train, test):
    """The more frequent label of the training strings, for every string."""
    return _share(test.labels == (2 * int(train.labels.sum()) >= len(train)))


def length(train, test):
    """The more frequent label among the training strings of the same length; of unseen lengths, of all of them."""
    longest = int(max(train.lengths.max(), test.lengths.max()))
    votes = torch.zeros(longest + 1).index_add_(0, train.lengths, 2.0 * train.labels - 1)
    seen = torch.bincount(train.lengths, minlength=longest + 1) > 0
    overall = bool(2 * int(train.labels.sum()) >= len(train))
    rule = torch.where(seen, votes >= 0, torch.tensor(overall))
    return _share(rule[test.lengths] == test.labels.bool())


def ngram(n):
    """The rule "valid if and only if every run of n letters occurs in a valid training string", as a baseline."""

    def baseline(train, test):
        valid = train[train.labels == 1]
        grams, real = _grams(valid, n)
        known = torch.unique(grams[real])
        grams, real = _grams(test, n)
        return _share((torch.isin(grams, known) | ~real).all(dim=1) == test.labels.bool())

    return baseline


def _grams(strings, n):
    """Every run of n letters as one number `(N, T-n+1)`, and which of them end inside their string."""
    short = max(n - strings.tokens.shape[1], 0)
    windows = torch.nn.functional.pad(strings.tokens.long(), (0, short)).unfold(1, n, 1)
    weights = 256 ** torch.arange(n)
    ends = torch.arange(windows.shape[1])[None] + n
    return (windows * weights).sum(-1), ends <= strings.lengths[:, None]


def _share(right):
    return float(right.double().mean())


BASELINES = {"constant": constant, "length": length, "bigram": ngram(2), "trigram": ngram(3)}


def baselines(train, test):
    """Accuracy on `test` of every rule in `BASELINES`, by name."""
    train, test = train.to("cpu"), test.to("cpu")
    return {name: rule(train, test) for name, rule in BASELINES.items()}
