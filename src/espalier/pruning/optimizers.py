"""Which optimizers leave a masked weight alone."""

import logging

from espalier.errors import InputError

log = logging.getLogger(__name__)

#: Treat every weight on its own, so that a zero weight with a zero gradient stays and disturbs nothing.
ELEMENTWISE = {"ASGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD"}
#: Mix the weights of a matrix: masked training would not be the training of `w * mask`.
MIXING = {"Adafactor", "LBFGS", "Muon", "Shampoo", "SOAP"}


def check_optimizer(optimizer):
    """Refuse an optimizer that mixes the weights of a matrix; say in the log that one is not known.  Raises: InputError."""
    names = [kind.__name__ for kind in type(optimizer).__mro__]
    mixing = next((name for name in names if name in MIXING), None)
    if mixing:
        raise InputError(
            f"{mixing} mixes the weights of a matrix, so pruned weights would steer the others: use one of "
            + ", ".join(sorted(ELEMENTWISE))
        )
    if names[0] not in ELEMENTWISE:  # a subclass may do something else
        log.warning("%s is not known to treat every weight on its own; pruned weights stay zero all the same", names[0])
