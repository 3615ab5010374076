"""Files of our own: read back whole, or refused by an error that names the file and the remedy."""
import pytest

from tfxmr.core import files
from tfxmr.core.errors import InputError


def test_read_json_gives_what_was_written(tmp_path):
    path = tmp_path / "facts.json"
    files.write_text(path, files.to_json({"a": [1, None]}))
    assert files.read_json(path, "write it again") == {"a": [1, None]}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff{}", b"[]", b"null", b"[" * 100_000, b'{"a": "\\ud800"}'],
    ids=["empty", "cut", "bytes", "list", "null", "deep", "half a character"],
)
def test_read_json_names_file_and_remedy(tmp_path, content):
    """Guards against a traceback of json, of the decoder or of a later look-up in what is no dict."""
    path = tmp_path / "facts.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="facts.json.*is damaged.*write it again"):
        files.read_json(path, "write it again")


def test_read_json_gives_names_of_any_bytes(tmp_path):
    """Guards against the refusal of a file's name that is no UTF-8, or of a character beyond 16 bits."""
    path, held = tmp_path / "facts.json", {"\N{GRINNING FACE}": b"\xff.jpg".decode(errors="surrogateescape")}
    files.write_text(path, files.to_json(held))
    assert files.read_json(path, "write it again") == held


def test_read_json_tells_missing_from_damaged(tmp_path):
    with pytest.raises(InputError, match="none.json: is missing; write it again"):
        files.read_json(tmp_path / "none.json", "write it again")
