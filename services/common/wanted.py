"""What a setting may be, in words."""

from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

_BOUNDS = {"ge": "from {}", "gt": "above {}", "le": "to {}", "lt": "below {}"}


def wanted(field: FieldInfo) -> str:
    """What may stand after "must be": the description of a field, else what its type says."""
    if field.description:
        return field.description
    annotation = field.annotation
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(map(str, get_args(annotation)))}"
    if annotation is bool:
        return "true or false"
    if annotation in (int, float):
        kind = "a whole number" if annotation is int else "a number"
        return " ".join([kind, *_bounds(field)])
    longest = [each.max_length for each in field.metadata if hasattr(each, "max_length")]
    return f"text of at most {longest[0]} characters" if longest else "text"


def _bounds(field: FieldInfo) -> list[str]:
    known = {
        name: value
        for each in field.metadata
        for name in _BOUNDS
        if (value := getattr(each, name, None)) is not None
    }
    words = [_BOUNDS[name].format(f"{known[name]:g}") for name in _BOUNDS if name in known]
    return [*words, "up"] if set(known) == {"ge"} else words
