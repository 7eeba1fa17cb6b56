"""From a composed configuration, or a stored one, to its object."""

from dataclasses import fields, is_dataclass

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from espalier.errors import InputError, doubt
from espalier.settings.checks import keys
from espalier.settings.data import KINDS
from espalier.settings.means import refuse_beyond
from espalier.settings.pruning import PruneConfig
from espalier.settings.search import StructureConfig
from espalier.settings.training import TrainConfig


def notes(config):
    """What is worth a line before work starts, though it is no mistake."""
    told = [doubt(percent) for percent in getattr(config, "percent", ()) if doubt(percent)]
    schedule = getattr(config, "schedule", None) or {}
    if schedule.get("name") == "redundant" and config.percent != list(range(10, 100, 10)):
        told.append("schedule=redundant goes on until no unit is redundant; percent is not looked at")
    return told


def to_config(composed):
    """The checked configuration object of a composed Hydra config.  Raises: InputError in one line."""
    try:
        config = OmegaConf.to_object(composed)
        refuse_unknown(composed, type(config))
        refuse_beyond(config)
        return config
    except InputError as error:
        raise InputError(str(error).splitlines()[0]) from None
    except OmegaConfBaseException as error:
        raise InputError(" ".join(str(error).split())) from None


def refuse_unknown(composed, kind):
    """Raise InputError about keys that were added with `+` and that nothing would read."""
    unknown = [str(key) for key in composed if key not in keys(kind)]
    if unknown:
        raise InputError(f"nothing reads {', '.join(unknown)}; there are {', '.join(keys(kind))}")
    for field in fields(kind):
        if is_dataclass(field.type):
            refuse_unknown(composed[field.name], field.type)


#: What runs did before these keys were there.
BEFORE = {("regain", "patience"): 1, ("safe", "by"): "levels"}


def from_yaml(path, kind):
    """The configuration object in a run's config.yaml. Runs of before the kinds of data had keys of their own had all of them:
    those that mean nothing are passed over; keys that are not there have the value of `BEFORE`.  Raises: InputError if the file
    is damaged.
    """
    try:
        stored = OmegaConf.load(path)
        if "name" in stored.data and "_target_" not in stored.data:
            known = keys(KINDS[stored.data.name])
            stored.data = {key: value for key, value in stored.data.items() if key in known}
        for (group, key), value in BEFORE.items():
            if group in stored and key not in stored[group]:
                stored[group][key] = value
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(kind), stored))
    except Exception as error:  # of YAML, of OmegaConf, or of a key that is not there
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path} is damaged ({first}): delete the run's folder, or run its command again") from None


def register():
    """Put the schemas where the root files in `conf/` find them."""
    store = ConfigStore.instance()
    store.store(name="train_schema", node=TrainConfig)
    store.store(name="prune_schema", node=PruneConfig)
    store.store(name="structure_schema", node=StructureConfig)
