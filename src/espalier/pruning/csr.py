"""Recurrent and linear layers with their weights in torch's sparse CSR layout, to measure what unstructured sparsity is worth.

torch has no recurrent kernel for sparse weights, so the loop over time is written out: `i2h` is one sparse product for all
steps, `h2h` one per step. States are kept as columns, which is how a CSR matrix multiplies.
"""

import copy
import warnings

import torch
from torch import nn

from espalier.errors import InputError


class CsrLayer(nn.Module):
    """What an `nn.RNN`, `nn.GRU` or `nn.LSTM` computes, from its weights in CSR: same inputs, same outputs. Inference only."""

    def __init__(self, module):
        super().__init__()
        if getattr(module, "proj_size", 0):
            raise InputError("CSR layers have no proj_size")
        self.hidden, self.batch_first, self.kind = module.hidden_size, module.batch_first, type(module)
        self.relu = getattr(module, "nonlinearity", None) == "relu"
        self.weights = []  # per layer, per direction: (i2h, h2h, bias of i2h, bias of h2h)
        for layer in range(module.num_layers):
            directions = []
            for suffix in ("", "_reverse") if module.bidirectional else ("",):
                found = [getattr(module, f"{name}_l{layer}{suffix}").detach() for name in ("weight_ih", "weight_hh")]
                bias = [torch.zeros(len(found[0]), 1)] * 2
                if module.bias:
                    bias = [getattr(module, f"{name}_l{layer}{suffix}").detach()[:, None] for name in ("bias_ih", "bias_hh")]
                directions.append((*map(_csr, found), *bias))
            self.weights.append(directions)

    @property
    def matrices(self):
        """Its sparse matrices."""
        return [matrix for directions in self.weights for weights in directions for matrix in weights[:2]]

    @property
    def biases(self):
        return [bias for directions in self.weights for weights in directions for bias in weights[2:]]

    def forward(self, inputs, state=None):
        if state is not None:
            raise InputError("CSR layers start from zero")
        if not isinstance(inputs, torch.Tensor):
            raise InputError("CSR layers take tensors, no packed sequences")
        if inputs.dim() == 2:  # a sequence alone
            place = 0 if self.batch_first else 1
            out, ends = self(inputs.unsqueeze(place))
            alone = tuple(end.squeeze(1) for end in ends) if isinstance(ends, tuple) else ends.squeeze(1)
            return out.squeeze(place), alone
        states, last = inputs.transpose(0, 1) if self.batch_first else inputs, []
        for directions in self.weights:
            found = [self._run(states if k == 0 else states.flip(0), weights) for k, weights in enumerate(directions)]
            last += [end for _, end in found]
            states = torch.cat([out if k == 0 else out.flip(0) for k, (out, _) in enumerate(found)], 2)
        ends = tuple(torch.stack(parts) for parts in zip(*last))
        out = states.transpose(0, 1) if self.batch_first else states
        return out, ends if self.kind is nn.LSTM else ends[0]

    def _run(self, inputs, weights):
        i2h, h2h, bias_ih, bias_hh = weights
        steps, batch, width = inputs.shape
        given = i2h @ inputs.permute(2, 0, 1).reshape(width, steps * batch) + bias_ih
        given = given.view(-1, steps, batch)
        h = c = inputs.new_zeros(self.hidden, batch)
        out = []
        for t in range(steps):
            x, s = given[:, t], h2h @ h + bias_hh
            if self.kind is nn.RNN:
                h = torch.relu(x + s) if self.relu else torch.tanh(x + s)
            elif self.kind is nn.GRU:
                (xr, xz, xn), (sr, sz, sn) = x.chunk(3), s.chunk(3)
                r, z = torch.sigmoid(xr + sr), torch.sigmoid(xz + sz)
                n = torch.tanh(xn + r * sn)
                h = n + z * (h - n)
            else:
                i, f, g, o = (x + s).chunk(4)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
            out.append(h.t())
        return torch.stack(out), (h.t(), c.t())


class CsrLinear(nn.Module):
    """What an `nn.Linear` computes, from its weight in CSR. Inference only."""

    def __init__(self, module):
        super().__init__()
        self.weight, self.bias = _csr(module.weight.detach()), None if module.bias is None else module.bias.detach()

    @property
    def matrices(self):
        return [self.weight]

    @property
    def biases(self):
        return [] if self.bias is None else [self.bias]

    def forward(self, inputs):
        found = (self.weight @ inputs.flatten(0, -2).t()).t().unflatten(0, inputs.shape[:-1])
        return found if self.bias is None else found + self.bias


def _zeros(model, kind):
    """Whether a weight of a module of this kind holds zeros; None: there is no such module."""
    found = [module for module in model.modules() if isinstance(module, kind)]
    weights = (one for module in found for name, one in module.named_parameters() if name.startswith("weight"))
    return any(bool((weight == 0).any()) for weight in weights) if found else None


def _csr(weight):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that CSR is in beta state
        found = weight.to_sparse_csr()
        places = found.crow_indices().int(), found.col_indices().int()  # half the bytes, and what MKL takes as it is
        return torch.sparse_csr_tensor(*places, found.values(), size=weight.shape)


def to_csr(model):
    """A copy of a model for inference whose `nn.RNN`, `nn.GRU` and `nn.LSTM` have their weights in CSR; or, where it has none
    of these, or only its `nn.Linear` hold zeros, these.
    """
    twin = copy.deepcopy(model).eval()
    recurrent, linear = _zeros(twin, nn.RNNBase), _zeros(twin, nn.Linear)
    only_linear = recurrent is None or (linear and not recurrent)
    kind, layer = (nn.Linear, CsrLinear) if only_linear else (nn.RNNBase, CsrLayer)
    for name, module in list(twin.named_modules()):
        if isinstance(module, kind):
            if not name:
                return layer(module).eval()
            parent, _, short = name.rpartition(".")
            setattr(twin.get_submodule(parent), short, layer(module).eval())
    return twin
