"""Functions of torch that sum over channels outside known layers: which operands, and over which of their dimensions."""

import torch
from torch.overrides import TorchFunctionMode

#: Functions that sum over a dimension: name -> the dimension of each of their first operands; counted from the end.
SUMMED = {
    "matmul": (-1, -2), "bmm": (-1, -2), "mm": (-1, -2), "mv": (-1, -1), "dot": (-1, -1), "inner": (-1, -1), "linear": (-1, -1),
    "addmm": (None, -1, -2), "baddbmm": (None, -1, -2), "scaled_dot_product_attention": (-1, -1), "sum": (None,), "einsum": (),
}  # fmt: skip


class Functions(TorchFunctionMode):
    """Looks at the functions of torch that the model calls outside its known layers."""

    def __init__(self, probe):
        super().__init__()
        self.probe, self.counts = probe, {}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        probe, name = self.probe, getattr(func, "__name__", "")
        if probe.depth or name not in SUMMED:
            return func(*args, **kwargs)
        with torch._C.DisableTorchFunction():
            output = func(*args, **kwargs)
        if not isinstance(output, torch.Tensor) or not output.is_floating_point():
            return output
        operands, dims = _operands(name, args, kwargs)
        if operands is None:
            return output
        number = self.counts[name] = self.counts.get(name, 0) + 1
        probe.calls[name] = number
        with torch._C.DisableTorchFunction():
            return probe.product(name, operands, dims, (name, number), output)


def _operands(name, args, kwargs):
    """(tensors, the dimension that is summed over of each) of a call; (None, None) where it is not understood."""
    if name == "einsum":
        operands = args[1] if len(args) == 2 and isinstance(args[1], (list, tuple)) else args[1:]
        if not isinstance(args[0], str) or "." in args[0]:
            return None, None
        given, _, result = args[0].replace(" ", "").partition("->")
        labels = given.split(",")
        gone = [tuple(k for k, label in enumerate(one) if label not in result) for one in labels]
        return list(operands), [dims[0] if len(dims) == 1 else dims or None for dims in gone]
    if name == "sum":
        dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
        if dim is None:
            dim = tuple(range(args[0].dim()))
        return [args[0]], [tuple(dim) if isinstance(dim, (list, tuple)) else dim]
    count = len(SUMMED[name])
    operands = [one for one in args[:count] if isinstance(one, torch.Tensor)]
    if len(operands) != count:
        return None, None
    dims = [
        dim if dim is None or one.dim() >= -dim else -1 for one, dim in zip(operands, SUMMED[name])
    ]  # a vector has one dimension only
    return operands, dims
