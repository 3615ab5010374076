"""Small made-up sounds, videos and 3D shapes, and functions of a user's that describe them."""
import contextlib
import sys
import wave

import numpy as np
from PIL import Image

RATE, TONES = 8000, {"bell": 880, "drum": 110, "horn": 330}
MODULE = """
import os
import pathlib
import signal
import wave

import numpy as np

calls = []

def spectrum(paths):
    calls.append(len(paths))
    if len(calls) > int(os.environ.get("KILLED_AFTER", 99)):
        os.kill(os.getpid(), signal.SIGKILL)
    assert all(isinstance(path, pathlib.Path) and path.is_absolute() for path in paths)
    rows = []
    for path in paths:
        with wave.open(str(path)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        power = np.abs(np.fft.rfft(samples / 32768)) ** 2
        rows.append([np.log(band.sum() + 1e-6) for band in np.array_split(power, 12)])
    return np.array(rows)

def corners(paths):
    return np.array([[path.read_text().count(kind) for kind in ("v ", "f ")] for path in paths])

def frames(paths):
    return np.array([list(path.read_bytes()[:3]) for path in paths])
"""


def sound(path, tone, seed):
    rng = np.random.default_rng(seed)
    time = np.arange(RATE // 4) / RATE
    samples = 0.5 * np.sin(2 * np.pi * tone * (1 + 0.05 * rng.normal()) * time) + 0.1 * rng.normal(size=len(time))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((32767 * samples.clip(-1, 1)).astype(np.int16).tobytes())


def write(root, train=6, test=4, images=False, texts=True):
    """ROOT/<split>/<bell, drum or horn>/<n>.wav with .txt and .png beside it."""
    for split, count in (("train", train), ("test", test)):
        for colour, (name, tone) in enumerate(TONES.items()):
            (root / split / name).mkdir(parents=True)
            for n in range(count):
                place = root / split / name / str(n)
                sound(place.with_suffix(".wav"), tone, [n, colour, split == "test"])
                if texts:
                    place.with_suffix(".txt").write_text(f"a {name} sounds {'often' if n % 2 else 'once'}")
                if images:
                    Image.new("RGB", (20, 20), (40 * n, 100 * colour, 60)).save(place.with_suffix(".png"))
    return root


@contextlib.contextmanager
def module_in(folder, monkeypatch):
    """The file of `own_sounds`, in a folder that becomes the current one."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    file = folder / "own_sounds.py"
    file.write_text(MODULE)
    sys.modules.pop("own_sounds", None)
    yield file
    sys.modules.pop("own_sounds", None)
