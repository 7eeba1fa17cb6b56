"""Regain: when does retraining bring back what the cut took?"""

from espalier.errors import InputError


class Regain:
    """The first moment at which the judging value is back within a tolerance of the base: an accuracy at `base - tolerance`, a
    loss (`higher=False`) at `base + tolerance`.

    `epoch` and `step` are 0 when the cut itself stays within the tolerance, None as long as it has not happened; a run
    that ends so is `censored`.
    """

    def __init__(self, base, tolerance=0.01, higher=True):
        if tolerance < 0:
            raise InputError(f"regain.tolerance must not be negative, got {tolerance:g}")
        self.base, self.tolerance, self.higher = base, tolerance, higher
        self.epoch = self.step = None

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
        if self.censored and missing <= self.tolerance + 1e-9:
            self.epoch, self.step = epoch, step
        return not self.censored

    def state_dict(self):
        return {"base": self.base, "tolerance": self.tolerance, "epoch": self.epoch, "step": self.step, "higher": self.higher}

    def load_state_dict(self, state):
        self.base, self.tolerance = state["base"], state["tolerance"]
        self.epoch, self.step, self.higher = state["epoch"], state["step"], state.get("higher", True)
