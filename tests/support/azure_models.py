"""Whether JSON is what the models of Azure's own Python client say: their required fields, and no other fields."""

from __future__ import annotations

import sys
from enum import EnumMeta
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from azure.ai.documentintelligence import models
from azure.ai.documentintelligence._model_base import Model as _Model


def complaints(value: Any, model: type[_Model], at: str = "$") -> list[str]:
    """What is wrong with `value`, as JSON has it, as this class of the client's models; none if it is right."""
    if not isinstance(value, dict):
        return [f"{at}: no object"]
    fields = _fields(model)
    found = [f"{at}.{name}: unknown" for name in value if name not in fields]
    for name, hint in fields.items():
        if name in value:
            found += _of_type(value[name], hint, f"{at}.{name}")
        elif NoneType not in get_args(hint):
            found.append(f"{at}.{name}: missing")
    return found


@cache
def _fields(model: type[_Model]) -> dict[str, Any]:
    """By name in JSON, which the client tells nowhere else, and not before there is an instance."""
    named: dict[str, Any] = model({})._attr_to_rest_field
    hints = get_type_hints(model, {**vars(sys.modules[model.__module__]), "_models": models})
    return {field._rest_name: hints[attribute] for attribute, field in named.items()}


def _of_type(value: Any, hint: Any, at: str) -> list[str]:
    if get_origin(hint) in (Union, UnionType):
        options = [each for each in get_args(hint) if each is not NoneType]
        # a text or one of an enum's: it is to be one of those that are known
        known = [each for each in options if isinstance(each, EnumMeta)]
        return _of_type(value, (known or options)[0], at)
    if get_origin(hint) is list:
        if not isinstance(value, list):
            return [f"{at}: no list"]
        return [
            each for number, item in enumerate(value) for each in _of_type(item, get_args(hint)[0], f"{at}[{number}]")
        ]
    if isinstance(hint, EnumMeta):
        members: list[Any] = list(hint.__members__.values())
        return [] if value in [each.value for each in members] else [f"{at}: {value!r} is no {hint.__name__}"]
    if isinstance(hint, type) and issubclass(hint, _Model):
        return complaints(value, hint, at)
    wanted = (int, float) if hint is float else hint
    return [] if isinstance(value, wanted) and not isinstance(value, bool) else [f"{at}: {value!r} is no {hint}"]
