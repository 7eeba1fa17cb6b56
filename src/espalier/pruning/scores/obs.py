"""Layer-wise optimal brain surgeon: how much the squared error of a layer's outputs would rise without the weight, if the
others of its row made up for it as well as they can; and after the cut they do.

    s(w_q) = 1/2 w_q^2 / [H^-1]_qq,  H = X'X / n + 1e-6 I,  X the inputs of the layer

After the cut, with K what stays of a row and Q what goes: w_K <- w_K + H_KK^-1 H_KQ w_Q, which is the exact minimum for all
that goes at once (the study went one by one, never took them out of H^-1, and its optimizer did not move the new weights).
Scores of one layer are not those of another: by default weights compete within a layer. Needs data.
Reference: Hassibi, Stork 1993, "Second order derivatives for network pruning"; Dong, Chen, Pan 2017, "Learning to prune deep
neural networks via layer-wise optimal brain surgeon".
"""

import torch

from espalier.pruning.inputs import second_moments

DAMPING = 1e-6


def obs(weights, context):
    """weights: name -> tensor.  Returns name -> tensor of the same shape; low goes first."""
    scores = {}
    for name, (_, inverse) in hessians(weights, context).items():
        scores[name] = weights[name].double().square() / (2 * inverse.diagonal().clamp(min=torch.finfo(inverse.dtype).tiny))
    return scores


def hessians(weights, context):
    """Name -> (H `(inputs, inputs)` of the layer of every weight, its inverse), float64."""
    if "hessians" not in context.memory:
        moments = second_moments(list(weights), context, "obs")
        damped = {name: one + DAMPING * torch.eye(len(one), dtype=one.dtype) for name, one in moments.items()}
        context.memory["hessians"] = {name: (one, torch.linalg.inv(one)) for name, one in damped.items()}
    return context.memory["hessians"]


def compensated(weights, masks, context):
    """The weights after the cut.  masks: name -> bool tensor, True = kept.  Returns name -> tensor in the weights' dtype."""
    found = {}
    for name, (hessian, inverse) in hessians(weights, context).items():
        rows = []
        for row, mask in zip(weights[name].double(), masks[name]):
            rows.append(_row(row, mask, hessian, inverse))
        found[name] = torch.stack(rows).to(weights[name].dtype)
    return found


def _row(row, mask, hessian, inverse):
    """A row whose kept weights make up for the others: by whichever system is smaller."""
    kept, gone = torch.nonzero(mask).flatten(), torch.nonzero(~mask).flatten()
    row = row.clone()
    if len(gone) == 0 or len(kept) == 0:
        row[gone] = 0
        return row
    if len(kept) < len(gone):
        row[kept] += torch.linalg.solve(hessian[kept][:, kept], hessian[kept][:, gone] @ row[gone])
    else:
        row -= inverse[:, gone] @ torch.linalg.solve(inverse[gone][:, gone], row[gone])
    row[gone] = 0
    return row


obs.batches = 160
obs.compensated = compensated
obs.scope = "layer"
