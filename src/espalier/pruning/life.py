"""Which hidden units are dead: never moved, constant, or read by nothing that lives."""

import torch

from espalier.pruning.units import CANDIDATE, Units


class Life:
    """What is known of the units in `nodes`, by `Units`: `moved`, which are ever other than zero; `constant`, values of
    constant outputs that can be folded, NaN elsewhere; `live`, which of them something reads that lives.

    free: `Units` -> whether they may go.  folds: whether constants go into readers outside of the module, too, which is right
    where nothing but the identity stands between.
    """

    def __init__(self, nodes, free, folds):
        self.nodes, self.free, self.folds = nodes, free, folds
        self.moved = self._moved()
        self.constant = self._constant()
        self.live = self._live()

    def _moved(self):
        """Units -> which of them are ever other than zero: reached from an input, or a bias, through their candidate gate."""
        moved = {one: torch.zeros(one.hidden, dtype=torch.bool) for one in self.nodes}
        changed = True
        while changed:
            changed = False
            for one in self.nodes:
                gate = slice(CANDIDATE[one.gates] * one.hidden, (CANDIDATE[one.gates] + 1) * one.hidden)
                i2h, h2h = (one.get(kind).detach()[gate].cpu() != 0 for kind in ("weight_ih", "weight_hh"))
                outside = torch.ones(i2h.shape[1], dtype=torch.bool)
                for source, first in one.sources:
                    outside[first : first + source.hidden] = moved[source]
                reached = i2h[:, outside].any(1)
                reached |= (h2h if one.projected else h2h[:, moved[one]]).any(1)
                reached |= moved_by_bias(one, gate)
                if (reached & ~moved[one]).any():
                    moved[one] |= reached
                    changed = True
        return moved

    def _constant(self):
        """Units -> values of constant outputs that can be folded into what reads them, NaN elsewhere.

        At the first time step a constant is not there yet for `h2h`, which reads the start: so only where that is not read.
        """
        found = {}
        for one in self.nodes:
            values = torch.full((one.hidden,), torch.nan, dtype=one.get("weight_ih").dtype)
            dropout = getattr(one.owner, "dropout", 0) and one.layer + 1 < one.owner.num_layers
            if one.gates == 1 and self.free[one] and not dropout and one.get("bias_ih") is not None:
                bias = (one.get("bias_ih") + one.get("bias_hh")).detach().cpu()
                value = torch.relu(bias) if _relu(one) else torch.tanh(bias)
                still = ~incoming(one) & (value != 0) & (one.get("weight_hh").detach().cpu() == 0).all(0)
                others = [column for column in one.feeds if column.reader is not one]
                inside = all(column.reader is not None and column.reader.module == one.module for column in others)
                biased = all(column.linear or column.reader.get("bias_ih") is not None for column in others)
                if others and biased and (inside or self.folds):
                    values[still] = value[still]
            found[one] = values
        return found

    def _live(self):
        """Units -> which of them something reads that lives."""
        live = {}
        for one in self.nodes:
            alone = not [column for column in one.feeds if column.reader is not one]
            if not self.free[one] or (alone and not one.projected):
                live[one] = torch.ones(one.hidden, dtype=torch.bool)  # what is outside reads it
            else:
                live[one] = torch.zeros(one.hidden, dtype=torch.bool)
                for column in one.feeds:
                    if column.reader is None:
                        part = column.weight.detach()[:, column.first : column.first + one.hidden]
                        live[one] |= (part != 0).any(0).cpu()
        changed = True
        while changed:
            changed = False
            for one in self.nodes:
                for column in one.feeds:
                    if column.reader is None:
                        continue
                    reader = column.reader
                    part = column.weight.detach()[:, column.first : column.first + one.hidden].cpu() != 0
                    rows = part.view(reader.gates, reader.hidden, one.hidden).any(0)
                    reached = rows[live[reader] & (self.moved[reader] | ~torch.tensor(self.free[reader]))].any(0)
                    if (reached & ~live[one]).any():
                        live[one] |= reached
                        changed = True
        return live


def _relu(one: Units):
    return getattr(one.owner, "nonlinearity", None) == "relu"


def moved_by_bias(one, gate):
    """Which units have a bias that moves them. gate: rows of the candidate gate."""
    if one.get("bias_ih") is None:
        return torch.zeros(one.hidden, dtype=torch.bool)
    i2h, h2h = (one.get(kind).detach()[gate].cpu() for kind in ("bias_ih", "bias_hh"))
    if one.gates == 3:  # the reset gate comes between the two
        return (i2h != 0) | (h2h != 0)
    bias = i2h + h2h
    return (bias != 0) & ((bias > 0) | incoming(one)) if _relu(one) else bias != 0


def incoming(one):
    """Which units have any incoming weight."""
    found = sum(one.get(kind).detach().cpu().abs().sum(1) for kind in ("weight_ih", "weight_hh"))
    return found.view(one.gates, one.hidden).sum(0) != 0
