"""Next token: which token follows, at every step; cross-entropy in nats, judged in bits per token, of which fewer are better.

Outputs `(N, T, codes)` with targets `(N, T)`; a target of -100 counts for nothing.
Reference: Shannon 1951, "Prediction and entropy of printed English".
"""

import math

from espalier.tasks.classify import IGNORED, loss, total
from espalier.tasks.task import Metric, Task

BITS = Metric("bits", False, 0.01, relative=True, label="bits per token", limits=(0, None))


def next_token():
    return Task(BITS, loss, score, total=total, curvature="cross_entropy")


def score(outputs, targets):
    return total(outputs, targets) / math.log(2), (targets != IGNORED).sum()
