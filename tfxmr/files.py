"""Files that are written whole or not at all."""
import json
import os


def to_json(value):
    """JSON text, readable, with a final newline."""
    return json.dumps(value, indent=1) + "\n"


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
