"""Networks in files that others may have written: a checkpoint of ours, a plain state dict, or a published one."""

from espalier import names, published
from espalier.errors import InputError
from espalier.nn import SequenceClassifier
from espalier.runs import files, progress


def load_base(path, training, sizes=None):
    """The network in a file, on the CPU.

    training: the one of the base, whose model it must agree with: cell, readout, hidden (unless that is what the data usually
    get), embedding.  sizes: those of the data, which it must fit, if given.

    Raises: InputError naming the file: missing, truncated, carrying code, of another cell, sizes that do not fit.
    """
    content = files.load_tensors(path, "base")
    try:
        network = _network(content, path, training)
        if sizes is not None:
            _check_fits(network, sizes)
        return network
    except InputError as error:
        raise InputError(f"base {path}: {error}") from None


def _network(content, path, training):
    model = training.model
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
    network.recurrent.dropout = model.get("dropout", 0.0)
    hidden, embedding = network.sizes["hidden"], network.sizes.get("embedding")
    if model["hidden"] not in (None, names.usual_hidden(training.data), hidden) or model["embedding"] not in (None, embedding):
        asked = f"hidden={model['hidden']}, embedding={model['embedding']}"
        raise InputError(f"has hidden={hidden}, embedding={embedding}; model asks for {asked}")
    return network


def _check_fits(network, sizes):
    names = ("codes", "features", "outputs")
    own, asked = ({name: one[name] for name in names if name in one} for one in (network.sizes, sizes))
    if own != asked:
        told, needed = (", ".join(f"{count} {name}" for name, count in one.items()) for one in (own, asked))
        raise InputError(f"it has {told}; the data need {needed}")


def rebuild(content):
    """The `SequenceClassifier` of a file of ours, from its sizes."""
    sizes = dict(content["sizes"])
    if "classes" in sizes:  # as files of before say
        sizes["outputs"] = sizes.pop("classes")
    model = SequenceClassifier(content["cell"], **{**sizes, "init": "uniform"})
    model.load_state_dict(content["state_dict"])
    return model


def load_own(path, model):
    """Load the weights of a file, a state dict or a checkpoint of ours, into a network of the user's.  Raises: InputError."""
    content = files.load_tensors(path, "base")
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    try:
        model.load_state_dict(state)
    except (AttributeError, TypeError, RuntimeError) as error:
        raise InputError(f"base {path} does not fit {type(model).__name__}: {' '.join(str(error).split())}") from None
    return model
