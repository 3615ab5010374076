"""Files that are written whole or not at all, and read back with an error that names the file and the remedy."""
import json
import os

from tfxmr.errors import InputError


def to_json(value):
    """JSON text, readable, with a final newline."""
    return json.dumps(value, indent=1) + "\n"


def read_json(path, remedy, kind=dict):
    """Reads a JSON file of this project's own.

    Args:
      path: pathlib.Path.
      remedy: what to do if it is damaged, for the message: "start the extraction again with a new --out".
      kind: type of what it holds, or a tuple of types.

    Returns:
      What it holds, of that type.

    Raises:
      InputError: it is missing, cannot be read, is no JSON, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: is missing; {remedy}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); make it readable") from error
    except (ValueError, RecursionError) as error:  # also bytes that are no UTF-8
        raise InputError(f"{path}: is damaged ({str(error) or 'nested too deeply'}); {remedy}") from error
    if not isinstance(value, kind):
        raise InputError(f"{path}: is damaged (it holds a {type(value).__name__}); {remedy}")
    return value


def write_text(path, text):
    """Writes a text file as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_bytes(path, content):
    """Writes a file so that a reader, or a kill at any moment, finds the old content or the new one whole."""
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
