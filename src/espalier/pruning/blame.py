"""Which function mixes the units of a layer: the first that takes in one changed channel and gives out all of them changed."""

import torch
from torch.overrides import TorchFunctionMode

#: What the functions are, for people.
WORDS = {
    "layer_norm": "a LayerNorm over the units", "softmax": "a softmax over the units",
    "log_softmax": "a softmax over the units",
    "mean": "an average over the units", "norm": "a norm over the units", "group_norm": "a GroupNorm over the units",
    "rms_norm": "an RMSNorm over the units", "std": "a deviation over the units", "var": "a variance over the units",
    "logsumexp": "a logsumexp over the units", "amax": "a maximum over the units", "max": "a maximum over the units",
}  # fmt: skip


def blame(probe, site, number=0):
    """(words for the function, name of the module it is called in) that first mixes channel `number` of a site with the others;
    (None, None) where none does.
    """
    mask = torch.zeros(probe.sites[site], dtype=torch.bool)
    mask[number] = True
    before, after = _calls(probe, {}), _calls(probe, {site: mask})
    for (name, place, inputs, output), (_, _, others, other) in zip(before, after):
        if output is None or other is None or output.shape != other.shape:
            continue
        whole = output.numel() > 1 and (output != other).any() and not probe.confined(other, output)
        pairs = [(old, new) for old, new in zip(inputs, others) if old.shape == new.shape]
        if whole and any(probe.confined(new, old) for old, new in pairs):
            return WORDS.get(name, f"{name}()"), place
    return None, None


def _calls(probe, disturbed):
    recorder, handles = _Recorder(probe), []
    for name, module in probe.model.named_modules():
        if name not in probe.layers:
            handles.append(module.register_forward_pre_hook(lambda *_, name=name: recorder.places.append(name)))
            handles.append(module.register_forward_hook(lambda *_: _left(recorder), always_call=True))
    try:
        with recorder:
            probe.run(disturbed)
    finally:
        for handle in handles:
            handle.remove()
    return recorder.calls


def _left(recorder):
    recorder.places.pop()


class _Recorder(TorchFunctionMode):
    def __init__(self, probe):
        super().__init__()
        self.probe, self.calls, self.places = probe, [], []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        if self.probe.depth == 0:
            with torch._C.DisableTorchFunction():
                given = [one for one in args if isinstance(one, torch.Tensor) and one.is_floating_point()]
                found = output[0] if isinstance(output, tuple) and output else output
                kept = found.detach().clone() if isinstance(found, torch.Tensor) and found.is_floating_point() else None
                place = self.places[-1] if self.places else ""
                self.calls.append((getattr(func, "__name__", "?"), place, [one.detach().clone() for one in given], kept))
        return output
