"""What all schemas need: ranges, and members of a group, which are ours by `name` or the user's by `_target_`."""

import math
from collections.abc import Mapping
from dataclasses import fields

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from espalier.errors import InputError


def positive(name, value):
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{name} must be positive, got {value}")


def not_negative(name, value):
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"{name} must not be negative, got {value}")


def share(name, value):
    if not 0 <= value < 1:
        raise InputError(f"{name} must be from 0 to below 1, got {value}")


def mapping(name, value):
    """Keys and values as a dict.  Raises: InputError."""
    if not isinstance(value, Mapping):
        raise InputError(f"{name} takes keys with values, {{key: value}}, got {value!r}")
    return dict(value)


def keys(schema):
    """Names of the keys of a schema."""
    return [field.name for field in fields(schema)]


def is_own(settings):
    """Whether a member of a group is the user's: plain values with a `_target_`."""
    return isinstance(settings, dict) and "_target_" in settings


def member(group, settings, kinds, default):
    """The checked settings of a member of a group: an object of one of the `kinds`, by its `name`, or the plain keys of one of
    the user's, by its `_target_`.

    settings: an object, a dict, or None for the default.  Raises: InputError.
    """
    if isinstance(settings, tuple(kinds.values())):
        return settings
    settings = {} if settings is None else mapping(group, settings)
    if "_target_" in settings:
        return own(group, settings)
    settings.setdefault("name", default)
    if settings["name"] not in kinds:
        raise InputError(f"{group}.name must be one of {', '.join(kinds)}, got {settings['name']!r}")
    return checked(group, settings["name"], kinds[settings["name"]], settings)


def checked(group, name, schema, settings):
    """The object of a schema.  Raises: InputError in one line, naming the key."""
    unknown = [str(key) for key in settings if key not in keys(schema)]
    if unknown:
        known = ", ".join(key for key in keys(schema) if key != "name")
        raise InputError(f"{group}={name} has no key {', '.join(unknown)}; it has {known or 'none'}")
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), settings))
    except OmegaConfBaseException as error:
        first = str(error).splitlines()[0]
        key = getattr(error, "full_key", None)
        raise InputError(f"{group}.{key}: {first}" if key else f"{group}={name}: {first}") from None


def own(group, settings):
    """The plain keys of a member of the user's.  Raises: InputError."""
    place = settings.get("_target_")
    parts = str(place).replace(":", ".").split(".")
    if not isinstance(place, str) or len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise InputError(f"{group}._target_ must be an import path such as mine.Net, got {place!r}")
    return settings
