"""A method's settings: one frozen dataclass, from which flags, checks and run folders are derived."""
import dataclasses
import math

from tfxmr.core.errors import InputError


def setting(default, help_text, *, choices=None, minimum=None, maximum=None, grid=()):
    """Declares one setting of a method: a dataclass field that can be checked and turned into a flag.

    Args:
      default: the paper's value; its type (str, int, float, bool, tuple of ints; with `choices`, tuple of str) is the
        setting's type.
      help_text: what it does, its unit and range, and where the default comes from.
      choices: the values allowed, in a tuple each of its values, or None for any.
      minimum: the least value allowed, or None.
      maximum: the largest value allowed, or None.
      grid: the values that `tfxmr tune` tries, in a tuple; () leaves the setting out of the method's own search.
    """
    facts = {"help": help_text, "choices": choices, "minimum": minimum, "maximum": maximum, "grid": grid}
    return dataclasses.field(default=default, metadata=facts)


def check(field, value):
    """Checks a value of a setting against its choices and range.

    Args:
      field: the dataclass field.
      value: of the setting's type.

    Raises:
      InputError: names the flag, value and remedy.
    """
    facts = field.metadata
    for number in value if isinstance(value, tuple) else (value,):
        if facts["choices"] and number not in facts["choices"]:
            raise InputError(f"--{field.name}={number}: choose one of {', '.join(map(str, facts['choices']))}")
        if isinstance(number, float) and not math.isfinite(number):
            raise InputError(f"--{field.name}={value}: give a finite number")
        if facts["minimum"] is not None and number < facts["minimum"]:
            raise InputError(f"--{field.name}={value}: the least value is {facts['minimum']}")
        if facts["maximum"] is not None and number > facts["maximum"]:
            raise InputError(f"--{field.name}={value}: the largest value is {facts['maximum']}")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base of every method's settings; checks choices and ranges when it is made."""

    def __post_init__(self):
        """Raises InputError for a value outside its choices or range, naming the flag, value and remedy."""
        for field in dataclasses.fields(self):
            check(field, getattr(self, field.name))

    def remedies(self):
        """What usually helps where numbers became too large with these settings: a list of flags as they are typed."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        found, rate = [], getattr(self, "learning_rate", 0.0)
        if rate:
            found.append(f"--learning_rate={min(defaults['learning_rate'], rate / 10):g} ({rate:g} here)")
        if getattr(self, "precision", "float32") == "float16":
            found.append("--precision=bfloat16")
        if getattr(self, "feature_norm", "") == "none":
            found.append("--feature_norm=zscore")
        if getattr(self, "ridge", 0.0):
            found.append(f"--ridge={10 * self.ridge:g} ({self.ridge:g} here)")
        return found

    def advice(self):
        """`remedies` as the end of a message; "" where there are none."""
        found = self.remedies()
        return f"; in another --run_dir, what usually helps: {' or '.join(found)}" if found else ""
