"""The memory of what was pruned: one bool tensor per weight, True = kept."""

import contextlib

import torch

from espalier.errors import InputError
from espalier.pruning import reparametrised
from espalier.pruning.optimizers import check_optimizer


class Masks:
    """Masks by parameter name, for any module whose parameters carry these names.

    Nothing is wrapped: a masked weight of the module is zero, and whoever trains on calls `gradients` before the gradients
    are clipped and `weights` after the optimizer's step, which makes the training that of `w * mask` exactly, for every
    optimizer that treats each weight on its own (`attached` does it in any loop, `espalier.Pruning` under Lightning).

    compensated: name -> values of the weights after the cut, where what stays makes up for what goes; None: as they are.

    Raises: InputError for masks of no weight at all.
    """

    def __init__(self, masks, compensated=None):
        self._compensated = compensated
        self._masks = {name: mask.bool() for name, mask in masks.items()}
        if not self._masks:
            raise InputError("masks of nothing: name at least one weight")
        self._factors = {}  # name -> the mask in dtype and on the device of its parameter

    def __getstate__(self):
        return {"_masks": self._masks, "_factors": {}, "_compensated": None}

    def __getitem__(self, name):
        return self._masks[name]

    def __iter__(self):
        return iter(self._masks)

    def __len__(self):
        return len(self._masks)

    def __eq__(self, other):
        return (
            isinstance(other, Masks)
            and list(self) == list(other)
            and all(torch.equal(self[name], other[name]) for name in self)
        )

    def __repr__(self):
        return f"Masks({self.kept} of {self.total} weights kept in {len(self)} tensors)"

    @torch.no_grad()
    def cut(self, model):
        """Cut the model that the masks were made for: its masked weights become zero, and the others what makes up for them."""
        for name, values in (self._compensated or {}).items():
            model.get_parameter(name).copy_(values)
        self.weights(model)

    def items(self):
        return self._masks.items()

    @property
    def kept(self):
        """Number of weights kept."""
        return sum(int(mask.sum()) for mask in self._masks.values())

    @property
    def total(self):
        """Number of weights that the masks speak of."""
        return sum(mask.numel() for mask in self._masks.values())

    @property
    def percent(self):
        """Share of the weights removed, 0 to 100."""
        return 100 * (1 - self.kept / self.total)

    def besides(self, model):
        """(the masks without those weights, too, that are zero in a model that was pruned before; how many these are)."""
        there = {name: model.get_parameter(name).detach().cpu() != 0 for name in self}
        masks = Masks({name: mask & there[name] for name, mask in self.items()}, self._compensated)
        return masks, sum(int((~one).sum()) for one in there.values())

    def within(self, name):
        """The same masks for a module that holds this one as its attribute `name`."""
        named = [
            values and {f"{name}.{key}": value for key, value in values.items()} for values in (self._masks, self._compensated)
        ]
        return Masks(*named)

    def state_dict(self):
        """Name -> bool tensor, on the CPU: loads again with `weights_only=True` and `Masks(...)`."""
        return {name: mask.cpu() for name, mask in self._masks.items()}

    def _on(self, model):
        """The masked parameters of `model` as it holds them now, and their masks in its dtype and on its device.

        They are looked up every time: loading with `assign=True`, replacing a module, or converting the model puts other
        parameters in their places.
        """
        model = self._holder(model)
        parameters = [parameter_of(model, name) for name in self]
        missing = [name for name, parameter in zip(self, parameters) if parameter is None]
        if missing:
            self._refuse(model, missing)
        factors = []
        for name, parameter in zip(self, parameters):
            factor = self._factors.get(name)
            if parameter.shape != self[name].shape:
                raise InputError(f"{name} is {tuple(parameter.shape)}, its mask {tuple(self[name].shape)}")
            if factor is None or factor.device != parameter.device or factor.dtype != parameter.dtype:
                factor = self._factors[name] = self[name].to(parameter.device, parameter.dtype)
            factors.append(factor)
        return parameters, factors

    def _holder(self, model):
        """The module whose parameters the masks name: the model, or what a wrapper of torch (DDP, `AveragedModel`) holds."""
        first, inner = next(iter(self)), model
        while parameter_of(inner, first) is None and isinstance(getattr(inner, "module", None), torch.nn.Module):
            inner = inner.module
        return model if parameter_of(inner, first) is None else inner

    @staticmethod
    def _refuse(model, missing):
        modules = dict(model.named_modules())
        for name in missing:
            place, _, short = name.rpartition(".")
            if place in modules and short in reparametrised.hidden(modules[place]):
                reparametrised.refuse(model, place, short)
        raise InputError(f"the model has no {', '.join(missing)}; it has {', '.join(dict(model.named_parameters()))}")

    @contextlib.contextmanager
    def attached(self, model, optimizer, averages=()):
        """Within the block, any loop that steps `optimizer` trains `w * mask`: gradients are masked as they are computed, so
        before any clipping, and the weights after every step. It works under accumulation, mixed precision and DDP.

        model: the module itself, also where DDP wraps it.  averages: models whose weights are averages of its own, such as
        `torch.optim.swa_utils.AveragedModel`: masked after every step too; what ASGD averages always is.

        Raises: InputError for an optimizer that mixes the weights of a matrix (LBFGS, Muon, Adafactor, ...).
        """
        check_optimizer(optimizer)

        def masked(name):
            return lambda gradient: gradient * self._factors[name].to(gradient.dtype)

        def after_step(*_):
            self.weights(model)
            self.averages(model, optimizer)
            for averaged in averages:
                self.weights(averaged)

        after_step()
        parameters, _ = self._on(model)
        handles = [p.register_hook(masked(name)) for name, p in zip(self, parameters) if p.requires_grad]
        # Parameters that are put into their places within the block have no such hook.
        handles.append(optimizer.register_step_pre_hook(lambda *_: self.gradients(model)))
        handles.append(optimizer.register_step_post_hook(after_step))
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    @torch.no_grad()
    def weights(self, model):
        """Set the masked weights of `model` to zero, in place."""
        parameters, factors = self._on(model)
        torch._foreach_mul_(parameters, factors)

    @torch.no_grad()
    def gradients(self, model):
        """Set the gradients of the masked weights of `model` to zero, in place; parameters without one are passed over."""
        pairs = [(p.grad, factor) for p, factor in zip(*self._on(model)) if p.grad is not None]
        if pairs:
            torch._foreach_mul_(*map(list, zip(*pairs)))

    @torch.no_grad()
    def averages(self, model, optimizer):
        """Set the masked places of the averages that an optimizer keeps of the weights (ASGD) to zero, in place."""
        for parameter, factor in zip(*self._on(model)):
            averaged = optimizer.state.get(parameter, {}).get("ax")
            if averaged is not None:
                averaged.mul_(factor)


def parameter_of(model, name):
    """The parameter of this name, or None."""
    *path, last = name.split(".")
    for part in path:
        model = model._modules.get(part)
        if model is None:
            return None
    return model._parameters.get(last)
