"""Networks in files that others may have written: a checkpoint of ours, a plain state dict, or a published one."""

from espalier import published
from espalier.errors import InputError
from espalier.runs import files, progress

#: Sizes that a base may have whatever is configured, for nobody asked for them.
USUAL = [50, 50, 50]


def load_base(path, model, splits=None):
    """The network in a file, on the CPU.

    model: keywords that it must agree with: cell, readout, hidden, embedding.  splits: the data that it must fit, if given.

    Raises: InputError naming the file: missing, truncated, carrying code, of another cell, sizes that do not fit.
    """
    content = files.load_tensors(path, "base")
    try:
        network = _network(content, path, model)
        if splits is not None:
            _check_fits(network, splits)
        return network
    except InputError as error:
        raise InputError(f"base {path}: {error}") from None


def _network(content, path, model):
    cell, readout = model["cell"], model["readout"]
    if not isinstance(content, dict):
        raise InputError("not a state dict")
    if isinstance(content.get("state_dict"), dict):
        if content.get("cell", cell) != cell:
            raise InputError(f"holds cell {content['cell']}, asked for cell={cell}")
        sizes = content.get("sizes")
        trained = sizes.get("readout", readout) if isinstance(sizes, dict) else readout
        if trained != readout:
            raise InputError(f"was trained with model.readout={trained}, asked for {readout}")
        content = content["state_dict"]
    content, wrapper = published.without_wrapper(content)
    if wrapper:
        progress.current.say(f"note: base {path}: all its keys begin with {wrapper!r}, which is left out")
    if published.is_published(content):
        if readout != "last_step":
            progress.current.say(f"note: published networks were trained with model.readout=last_step; {readout} is read")
        network = published.sequence_classifier(content, cell, readout)
    else:
        network = published.build(content, cell, readout)
    hidden, embedding = network.sizes["hidden"], network.sizes["embedding"]
    if model["hidden"] not in (USUAL, hidden) or model["embedding"] not in (None, embedding):
        asked = f"hidden={model['hidden']}, embedding={model['embedding']}"
        raise InputError(f"has hidden={hidden}, embedding={embedding}; model asks for {asked}")
    return network


def _check_fits(network, splits):
    highest = max(int(split.tokens.max()) for split in (splits.train, splits.test))
    sizes = network.sizes
    if highest >= sizes["codes"] or sizes["classes"] != 2:
        raise InputError(
            f"{sizes['codes']} codes and {sizes['classes']} classes; the data needs {highest + 1} codes and 2 classes"
        )
