"""What a configuration asks of the machine, by estimate: what cannot be meant is refused before any work."""

import os

from espalier.errors import InputError
from espalier.names import GATES
from espalier.settings.checks import is_own

#: Threads or processes per core above which a number is a slip.
MOST_PER_CORE = 64
#: Bytes of a parameter in training (itself, its gradient, Adam's two moments), and of an example at the least.
PER_PARAMETER, PER_EXAMPLE = 16, 64
#: Codes of an embedding at the least.
CODES = 16


def refuse_beyond(config, cores=None, memory=None):
    """Raise InputError about numbers that this machine cannot hold.  cores, memory in bytes: of the machine, unless given."""
    cores = cores or os.cpu_count() or 1
    memory = memory or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("threads", "processes"):
        asked = getattr(config, name, None)
        if asked is not None and asked > MOST_PER_CORE * cores:
            raise InputError(
                f"{name}={asked}: this machine has {cores} cores; {MOST_PER_CORE * cores} is the most that is taken"
            )
    wanted = {
        "data": PER_EXAMPLE * examples(config.data),
        "model.hidden and model.embedding": PER_PARAMETER * parameters(config.model, config.cell),
    }
    for name, needed in wanted.items():
        if needed > memory:
            raise InputError(
                f"{name}: about {gib(needed)} GiB would be needed at the least, this machine has {gib(memory)}; ask for less"
            )


def gib(count):
    return f"{count / 2**30:,.1f}"


def examples(data):
    """How many examples are asked for."""
    if is_own(data):
        return 0
    return sum(getattr(data, name, None) or 0 for name in ("train_size", "test_size"))


def parameters(model, cell):
    """How many parameters a network of ours has at the least."""
    if is_own(model):
        return 0
    hidden, embedding = getattr(model, "hidden", None), getattr(model, "embedding", None) or 0
    inputs = embedding or (hidden[0] if hidden and cell in GATES else 1)
    return CODES * embedding + (sum(weights(cell, hidden, inputs, 1)) if hidden else 0)


def weights(cell, hidden, inputs, outputs):
    """(i2h, h2h, head) weights of a network of these widths; of a feed-forward one, which has no cell, the first are those
    between its layers.
    """
    i2h = sum(size * width for size, width in zip(hidden, [inputs, *hidden[:-1]]))
    if cell not in GATES:
        return i2h, 0, hidden[-1] * outputs
    return GATES[cell] * i2h, GATES[cell] * sum(size * size for size in hidden), 0
