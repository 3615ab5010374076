"""What a method says of itself without the libraries that its file imports is what it says with them."""
import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tfxmr.core import registry, settings, standins
from tfxmr.core.errors import InputError


def facts(method):
    """What flags, help, refusals and lists take from a method's class, as JSON has it."""
    default = method.Settings()
    changes = [{}] + [{f.name: c} for f in dataclasses.fields(default) if isinstance(f.default, str) for c in settings.choices_of(f) or ()]
    changes += [{f.name: True} for f in dataclasses.fields(default) if f.default is False]
    found = {
        "own": [
            (name, repr(f.default), str(settings.kind(f)), repr(settings.choices_of(f)), repr({**f.metadata, "choices": ""}))
            for name, f in settings.options(method.Settings).items()
        ],
        "facts": [repr(getattr(method, name)) for name in (
            "paper", "provenance", "modalities", "most_modalities", "zero_shot", "takes_source", "needs_source", "joint", "strategies"
        )],
        "doc": [method.__doc__, method.Settings.__doc__, method.similarity_name(), registry.name_of(method)],
        "reads": [],
    }
    for change in changes:
        try:
            found["reads"].append(repr(method.reads(dataclasses.replace(default, **change))))
        except InputError as error:
            found["reads"].append(str(error))
    return json.loads(json.dumps(found))


CODE = """
import json, sys
sys.path.insert(0, {here!r})
from outline_test import facts
from tfxmr.core import registry
found = {{name: facts(method) for name, method in registry.methods()}}
left = sorted(m for m in sys.modules if m.startswith(("tfxmr.models.", "tfxmr.engine", "tensorflow", "keras", "sklearn")))
left += [name for name in vars(sys.modules["tfxmr.models"]) if name in registry.names()]
print(json.dumps([found, left]))
"""


def test_every_method_is_the_same_without_its_libraries():
    """Guards against help, checks and lists of a method that are not its own, and against a file that needs TensorFlow for them.

    If this fails for a method of yours: what its Settings, paper and `reads` say must need no library but NumPy.
    """
    code = CODE.format(here=os.path.dirname(__file__))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    found, left = json.loads(done.stdout)
    assert left == []  # where the real ones are looked for; every `tfxmr train` of a neural method takes these next
    assert found.keys() == {*registry.names()}
    for name in registry.names():
        assert found[name] == facts(registry.get(name)), name


def test_a_file_that_needs_its_library(tmp_path, monkeypatch):
    """Guards against a method that is refused since a stand-in cannot do what its file asks of a library."""
    lines = ["import nowhere_else", "from tfxmr.models.dscmr import DSCMR", "WIDTH = nowhere_else.WIDTH + 1",
             "class Own(DSCMR): paper = str(WIDTH)"]
    (tmp_path / "own_method.py").write_text("\n".join(lines))
    (tmp_path / "nowhere_else.py").write_text("WIDTH = 3\n")
    import tfxmr.models

    monkeypatch.setattr(tfxmr.models, "__path__", [*tfxmr.models.__path__, str(tmp_path)])
    monkeypatch.syspath_prepend(str(tmp_path))
    with standins.imported(), pytest.raises(TypeError):
        __import__("tfxmr.models.own_method")
    assert registry.outline("own_method").paper == "4"
    for name in ("tfxmr.models.own_method", "nowhere_else"):
        sys.modules.pop(name)


def test_modules_are_as_before(tmp_path, monkeypatch):
    """Guards against a module of a library that is loaded, and gets a stand-in for a part of it for ever."""
    (tmp_path / "parted").mkdir()
    (tmp_path / "parted/__init__.py").write_text("")
    (tmp_path / "parted/part.py").write_text("VALUE = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import parted

    for _ in range(2):
        with standins.imported():
            import parted.part
            from parted import part

            assert part is parted.part and part.VALUE is not None and part.VALUE != 3
            assert np.zeros(1).shape == (1,)
        assert not hasattr(parted, "part") and "parted.part" not in sys.modules
    import parted.part

    assert parted.part.VALUE == 3
    for name in ("parted", "parted.part"):
        del sys.modules[name]
