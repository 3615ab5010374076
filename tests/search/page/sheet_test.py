"""The contact sheet: one file that holds all."""
import pytest
from looking import Look

from tfxmr.search.page import sheet, wording


@pytest.fixture
def sheet_of(searchers, media, tmp_path):
    def write(answers, own=(), titles=(), held=media.made):
        sheet.write(answers, held, tmp_path / "sheet.html", own, titles)
        return (tmp_path / "sheet.html").read_text()

    return write


def test_it_needs_nothing_else(searchers, sheet_of):
    """Guards against a sheet that is empty without network, or once the images have moved."""
    asked = searchers[0]
    answer = asked.ask(asked.item("text", "test 4"), k=6)
    text = sheet_of([answer], [asked])
    page = Look(text)
    assert "http" not in text and all(a.startswith(("data:image/png;base64,", "#")) for a in page.addresses())
    assert sheet.STYLE.read_text() in text  # not escaped: it holds ">" and quotes
    assert not page.tags("script", "link", "form") and len(page.tags("img")) == 6 + (answer.pair_rank is not None)
    assert f"AP {answer.average_precision:.3f}" in page.of("figures")[0] and wording.pair(answer) in page.words
    assert page.of("score") == [f"score {wording.score(hit.score)}" for hit in answer.hits]
    assert page.of("mark") == ["✓ relevant" if hit.right else "✗ not relevant" for hit in answer.hits]
    assert "cca" in page.words and "mAP" in page.words and "64 images searched" in page.words


def test_two_runs_and_two_questions(searchers, sheet_of):
    answers = [s.ask(s.item("image", "test 7")) for s in searchers] + [searchers[0].ask(searchers[0].text("red boat"), k=3)]
    page = Look(sheet_of(answers, [*searchers, searchers[0]], ["three", "two", "three"]))
    assert len(page.of("asked")) == 2 + sum(a.pair_rank is not None for a in answers[:1]) and len(page.of("panel")) == 3
    assert len(page.of("run")) == 2 and len({e["id"] for e in page.all if e.get("id")}) == len([e for e in page.all if e.get("id")])


def test_without_run_and_media(searchers, sheet_of):
    page = Look(sheet_of([searchers[0].ask(searchers[0].text("red boat"), k=3)], held=None))
    assert len(page.of("name")) == 3 and not page.of("runs") and not page.tags("img")


def test_long_sounds_are_left_out(heard, media, sheet_of, monkeypatch):
    """Guards against a file that is read and not shown, and a sheet of a gigabyte."""
    answer = heard.ask(heard.item("video", "video/0"), ["audio"])
    short = Look(sheet_of([answer]))
    assert short.tags("audio")[0]["src"] == "data:audio/wav;base64,UklGRjAwMDBXQVZF"
    sound = media.made.file({}, "audio")
    sound.size, sound.read = sheet.PLAYED + 1, lambda: pytest.fail("read")
    monkeypatch.setattr(type(media.made), "file", lambda *_: sound)
    assert not Look(sheet_of([answer])).tags("audio")


def test_an_image_of_ones_own(searchers, media, sheet_of, tmp_path):
    (tmp_path / "mine.png").write_bytes(media.png())
    answer = searchers[0].ask(searchers[0].image(str(tmp_path / "mine.png")), k=3)
    page = Look(sheet_of([answer]))
    assert page.tags("img")[0]["src"].startswith("data:image/jpeg") and "a red boat <" in page.words
