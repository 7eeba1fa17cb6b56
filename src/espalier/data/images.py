"""What kinds of images share: split, scaled, and held against rules that need no learning."""

import numpy as np
import torch

from espalier.data.baselines import told
from espalier.data.split import Data, Split
from espalier.data.strings import at_most, split_train
from espalier.runs.seeds import stream

#: Examples whose distances are computed at a time.
AT_ONCE = 500


def made(settings, train, test, labels, **facts):
    """`Data` of images `(N, pixels)` and their labels `(N,)`, as pairs: as many as asked for, validation drawn from train."""
    rng = np.random.default_rng(stream(settings["seed"], "split"))
    train, test = (Split((torch.as_tensor(values),), torch.as_tensor(classes)) for values, classes in (train, test))
    train, test = at_most(train, settings["train_size"], rng), at_most(test, settings["test_size"], rng)
    train, validation = split_train(train, settings["validation_fraction"], rng)
    sizes = {"features": train.inputs[0].shape[1], "outputs": len(labels)}
    facts = {"pixels": sizes["features"], **facts}
    return Data(train, validation, test, sizes, labels, facts=facts, **told(baselines, train, validation, test))


def baselines(train, test):
    """Accuracies on test: of the most frequent class, of the class whose mean image is nearest, and of the nearest image."""
    images, wanted = train.inputs[0].float(), test.inputs[0].float()
    classes, counts = torch.unique(train.targets, return_counts=True)
    means = torch.stack([images[train.targets == one].mean(0) for one in classes])
    nearest = torch.cat([torch.cdist(part, images).argmin(1) for part in wanted.split(AT_ONCE)])
    guesses = {
        "constant": classes[counts.argmax()].expand(len(test)), "nearest mean": classes[torch.cdist(wanted, means).argmin(1)],
        "nearest neighbour": train.targets[nearest],
    }  # fmt: skip
    return {name: float((guess == test.targets).double().mean()) for name, guess in guesses.items()}
