"""Regain: when does retraining bring back what the cut took?"""

from espalier.errors import InputError


class Regain:
    """The first moment at which the judging value is back within a tolerance of the base: an accuracy at `base - tolerance`, a
    loss (`higher=False`) at `base + tolerance`.

    One look of many at a noisy measure is back by luck sooner or later: `patience` looks in a row have to be, and the first of
    them is told. Right after the cut (step 0) one is enough, for there is only that one.

    `epoch` and `step` are 0 when the cut itself stays within the tolerance, None as long as it has not happened; a run
    that ends so is `censored`.
    """

    def __init__(self, base, tolerance=0.01, higher=True, patience=2):
        if tolerance < 0:
            raise InputError(f"regain.tolerance must not be negative, got {tolerance:g}")
        if patience < 1:
            raise InputError(f"regain.patience must be at least 1, got {patience}")
        self.base, self.tolerance, self.higher, self.patience = base, tolerance, higher, patience
        self.epoch = self.step = None
        self.row = []  # (epoch, step) of the looks in a row that are back, up to now

    def __repr__(self):
        told = "censored" if self.censored else f"epoch={self.epoch}, step={self.step}"
        return f"Regain(base={self.base:g}, tolerance={self.tolerance:g}, {told})"

    @property
    def censored(self):
        return self.epoch is None

    def update(self, value, epoch, step):
        """Take note of the value after `step` optimizer steps, in (1-based) `epoch`; returns whether it is regained."""
        # Accuracies are ratios of counts: 0.99 must be enough where 1.0 - 0.01 is asked, whatever their last bit.
        missing = self.base - value if self.higher else value - self.base
        if self.censored:
            self.row = [*self.row, (epoch, step)] if missing <= self.tolerance + 1e-9 else []
            if self.row and (step == 0 or len(self.row) >= self.patience):
                self.epoch, self.step = self.row[0]
        return not self.censored

    def state_dict(self):
        names = ("base", "tolerance", "epoch", "step", "higher", "patience")
        return {**{name: getattr(self, name) for name in names}, "row": list(self.row)}

    def load_state_dict(self, state):
        self.base, self.tolerance = state["base"], state["tolerance"]
        self.epoch, self.step, self.higher = state["epoch"], state["step"], state.get("higher", True)
        self.patience, self.row = state.get("patience", 1), [tuple(look) for look in state.get("row", ())]
