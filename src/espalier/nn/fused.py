"""Training steps of torch's plain and GRU layers on the CPU, with the loop over time and its gradient written out.

torch computes these layers on the CPU as a chain of recorded operations, a dozen per time step in each direction. Here the
input's products are one matrix product for all time steps, a step is one product added in place and its activation, and the
gradient of the weights is again one product over all steps. The equations are torch's own (`nn.RNN`, `nn.GRU`), and so are
the results up to rounding. LSTM layers have a fused kernel in torch already.
"""

import itertools

import torch
from torch import nn
from torch.autograd.function import once_differentiable


def run(layer, inputs):
    """The states `(T, N, hidden)` of a one-layer `nn.RNN`, `nn.GRU` or `nn.LSTM` from zero, for inputs `(T, N, width)`.

    The written-out version is taken where it is faster and all it must be: training on the CPU, with biases.
    """
    return carry(layer, inputs)[0]


def carry(layer, inputs, start=None):
    """(the states as `run` gives them, the states at the end), going on from `start`, an earlier call's end, or from zero.

    No gradient goes back into `start`.
    """
    if not (_written_out(inputs, layer.training) and layer.bias) or isinstance(layer, nn.LSTM):
        return layer(inputs, start)
    weights = layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0
    begin = None if start is None else start[0].detach()
    if isinstance(layer, nn.GRU):
        states = _GRU.apply(inputs, *weights, begin)
    else:
        states = _Plain.apply(inputs, *weights, layer.nonlinearity == "relu", begin)
    return states, states[-1:]


def call(cell, inputs, weights, training):
    """The same for a cell given by name and its weights `(weight_ih, weight_hh, bias_ih, bias_hh)`, which may be computed."""
    if _written_out(inputs, training) and cell != "lstm":
        return _GRU.apply(inputs, *weights, None) if cell == "gru" else _Plain.apply(inputs, *weights, cell == "rnn_relu", None)
    start = inputs.new_zeros(1, inputs.shape[1], weights[1].shape[1])
    rest = (weights, True, 1, 0.0, training, False, False)  # has biases, one layer, no dropout, one direction, time first
    if cell == "lstm":
        return torch.lstm(inputs, (start, start), *rest)[0]
    return {"gru": torch.gru, "rnn_tanh": torch.rnn_tanh, "rnn_relu": torch.rnn_relu}[cell](inputs, start, *rest)[0]


def _written_out(inputs, training):
    return torch.is_grad_enabled() and training and inputs.device.type == "cpu" and len(inputs) > 0


class _Plain(torch.autograd.Function):
    """h[t] = f(W_ih x[t] + b_ih + W_hh h[t-1] + b_hh)."""

    @staticmethod
    def forward(ctx, inputs, weight_ih, weight_hh, bias_ih, bias_hh, relu, begin):
        states = torch.addmm(bias_ih + bias_hh, inputs.flatten(0, 1), weight_ih.t()).unflatten(0, inputs.shape[:2])
        activate = torch.Tensor.relu_ if relu else torch.Tensor.tanh_
        steps, turned = states.unbind(0), weight_hh.t()
        activate(steps[0] if begin is None else steps[0].addmm_(begin, turned))
        for before, step in itertools.pairwise(steps):
            activate(step.addmm_(before, turned))
        ctx.save_for_backward(inputs, weight_ih, weight_hh, states, begin)
        ctx.relu = relu
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        inputs, weight_ih, weight_hh, states, begin = ctx.saved_tensors
        slope = (states > 0).to(states.dtype) if ctx.relu else 1 - states * states
        delta = gradient.clone(memory_format=torch.contiguous_format)
        steps, slopes = delta.unbind(0), slope.unbind(0)
        steps[-1].mul_(slopes[-1])
        for t in range(len(steps) - 2, -1, -1):
            steps[t].addmm_(steps[t + 1], weight_hh).mul_(slopes[t])
        flat = delta.flatten(0, 1)
        bias = flat.sum(0)
        h2h = delta[1:].flatten(0, 1).t() @ states[:-1].flatten(0, 1)
        if begin is not None:
            h2h.addmm_(delta[0].t(), begin)
        return (
            (flat @ weight_ih).view_as(inputs) if ctx.needs_input_grad[0] else None,
            flat.t() @ inputs.flatten(0, 1), h2h, bias, bias, None, None,
        )  # fmt: skip


class _GRU(torch.autograd.Function):
    """r, z = s(i2h + h2h); n = tanh(i2h_n + r h2h_n); h[t] = n + z (h[t-1] - n), with h2h = W_hh h[t-1] + b_hh."""

    @staticmethod
    def forward(ctx, inputs, weight_ih, weight_hh, bias_ih, bias_hh, begin):
        hidden = weight_hh.shape[1]
        i2h = torch.addmm(bias_ih, inputs.flatten(0, 1), weight_ih.t()).unflatten(0, inputs.shape[:2])
        gates, news = i2h.split([2 * hidden, hidden], dim=2)
        states = inputs.new_empty(*inputs.shape[:2], hidden)
        h2h_new = torch.empty_like(states)
        begin = inputs.new_zeros(inputs.shape[1], hidden) if begin is None else begin
        state, turned = begin, weight_hh.t()
        for gate, new, kept, out in zip(gates.unbind(0), news.unbind(0), h2h_new.unbind(0), states.unbind(0)):
            h2h = torch.addmm(bias_hh, state, turned)
            gate.add_(h2h[:, : 2 * hidden]).sigmoid_()
            kept.copy_(h2h[:, 2 * hidden :])
            new.addcmul_(gate[:, :hidden], kept).tanh_()
            state = torch.lerp(new, state, gate[:, hidden:], out=out)
        ctx.save_for_backward(inputs, weight_ih, weight_hh, states, i2h, h2h_new, begin)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        inputs, weight_ih, weight_hh, states, i2h, h2h_new, begin = ctx.saved_tensors
        hidden = weight_hh.shape[1]
        reset, update, new = i2h.split(hidden, dim=2)
        before = torch.cat([begin[None], states[:-1]])
        # What a step multiplies its state's gradient with, for all steps at once.
        to_new = (1 - update) * (1 - new * new)
        to_update = (before - new) * update * (1 - update)
        to_reset = h2h_new * reset * (1 - reset)
        delta, back = torch.empty_like(i2h), torch.empty_like(i2h)  # of i2h, of h2h
        carried = torch.zeros_like(states[0])
        steps = zip(*(tensor.unbind(0) for tensor in (gradient, to_new, to_update, to_reset, reset, update, delta, back)))
        for out, n, z, r, r_gate, z_gate, d, b in reversed(list(steps)):
            carried = carried + out
            d_n = torch.mul(carried, n, out=d[:, 2 * hidden :])
            torch.mul(carried, z, out=b[:, hidden : 2 * hidden])
            torch.mul(d_n, r, out=b[:, :hidden])
            torch.mul(d_n, r_gate, out=b[:, 2 * hidden :])
            carried = torch.addmm(carried * z_gate, b, weight_hh)
        delta[:, :, : 2 * hidden] = back[:, :, : 2 * hidden]
        flat, flat_back = delta.flatten(0, 1), back.flatten(0, 1)
        return (
            (flat @ weight_ih).view_as(inputs) if ctx.needs_input_grad[0] else None,
            flat.t() @ inputs.flatten(0, 1), flat_back.t() @ before.flatten(0, 1), flat.sum(0), flat_back.sum(0),
            None,
        )  # fmt: skip
