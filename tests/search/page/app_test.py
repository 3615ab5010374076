"""The page: what it shows is the Answer, what it refuses it says, and nothing leaves it."""
import dataclasses
import io
import pathlib
import re
import time

import numpy as np
import pytest
from looking import look

from tfxmr.encoding.media import File
from tfxmr.search import Index
from tfxmr.search.page import upload, wording
from tfxmr.search.page.app import make_app
from tfxmr.search.page.form import Form
from tfxmr.search.query import Searcher

ITEM = "/?item=test 3&of=image"


def sent(client, content, name="mine.png", path="/", **fields):
    data = {"by": "image", "image": (io.BytesIO(content), name), **fields}
    return client.post(path, data=data, content_type="multipart/form-data")


def ids(page):
    """Ids of the results, by their links."""
    return [re.search(r"item=([^&]+)&", e["href"])[1].replace("+", " ") for e in page.tags("a", class_="by-this")]


def test_by_sentence(client, searchers):
    page = look(client.get("/?text=red+boat&k=5"))
    answer = searchers[0].ask(searchers[0].text("red boat"), k=5)
    assert ids(page) == [hit.id for hit in answer.hits] and len(page.tags("li")) == 5
    assert page.of("score") == [f"score {wording.score(hit.score)}" for hit in answer.hits]
    assert "64 images searched in" in page.words and wording.usual(answer) in page.words
    assert page.tags("input", id="text")[0]["value"] == "red boat" and page.tags("input", id="k")[0]["value"] == "5"


def test_no_marks_without_ground_truth(client, media):
    """Guards against a tick by a predicted class, and an AP of nothing."""
    for page in (look(client.get("/?text=red+boat")), look(sent(client, media.png()))):
        assert not page.of("mark") and not page.of("figures") and not page.of("right") and not page.of("wrong")
        assert "Nobody has said what is relevant to a query of your own" in page.words


@pytest.mark.parametrize("modality, other", [("image", "text"), ("text", "image")])
def test_by_item(client, searchers, modality, other):
    """In both directions: marks in words, signs and borders; AP, chance, P@k and the pair's rank are the Answer's."""
    page = look(client.get(f"/?item=test 7&of={modality}&split=test"))
    answer = searchers[0].ask(searchers[0].item(modality, "test 7"), where={"split": ["test"]})
    assert ids(page)[-10:] == [hit.id for hit in answer.hits]
    assert page.of("figures")[0].split() == (
        f"AP {answer.average_precision:.3f} by chance {answer.chance:.3f} P@10 {answer.precision:.3f} "
        f"Its pair rank {answer.pair_rank} of 24").split()
    signs = ["✓ relevant" if hit.right else "✗ not relevant" for hit in answer.hits]
    assert page.of("mark") == signs and len(set(signs)) == 2
    assert len(page.of("right")) == signs.count("✓ relevant") and len(page.of("wrong")) == signs.count("✗ not relevant")
    (link,) = [e for e in page.tags("a") if e["text"] == f"rank {answer.pair_rank} of 24"]
    there = [hit.rank for hit in answer.hits if hit.pair]
    assert link["href"] == f"#r0-{there[0]}" if there else f"item=test+7&of={other}" in link["href"]
    assert not there or page.tags("li", id=f"r0-{there[0]}") and page.of("badge") == ["its pair"]


def test_the_pair_far_down_has_a_link(client, searchers):
    """Guards against a rank that leads nowhere when the pair is not among the results."""
    far = next(i for i in range(24) if searchers[0].ask(searchers[0].item("image", f"test {i}")).pair_rank > 10)
    page = look(client.get(f"/?item=test {far}&of=image"))
    (link,) = [e for e in page.tags("a") if re.fullmatch(r"rank \d+ of 64", e["text"])]
    assert f"item=test+{far}&of=text" in link["href"] and f"a red boat <test {far}>" in page.words


def test_a_class_filter_hides_ap(client):
    page = look(client.get(f"{ITEM}&class=class 1"))
    assert not page.of("figures") and not page.of("mark") and "Under a filter by class" in page.words
    assert {f for f in page.of("fact") if "class" in f} >= {"class class 1"} and page.tags("option", value="class 1")[0].get("selected", 0) is None
    assert all("class=" not in e["href"] for e in page.tags("a", class_="by-this"))  # the next query is of another class


def test_filters_and_modalities(client):
    page = look(client.get("/?text=red&split=test&find=any&k=1000"))
    assert "48 images and texts (split test) searched" in page.words and len(page.tags("li")) == 48
    assert {e.get("value") for e in page.tags("option") if e.get("selected", 0) is None} >= {"test", "any"}
    page = look(client.get(f"{ITEM}&find=image&split=train"))
    assert "40 images (split train) searched" in page.words
    assert "No item passes these filters." in look(client.get("/?text=red&split=holiday")).words


def test_unseen_classes_are_named(heard):
    """A filter of two values reads as a sentence."""
    answer = heard.ask(heard.item("video", "video/0"))
    told = wording.searched(dataclasses.replace(answer, where={"seen": ["no"], "class": ["a", "b"]}))
    assert told.startswith("16 sounds and 3D shapes (classes unseen in training; class a, b) searched in")


def test_an_upload_shows_itself_and_can_be_asked_again(client, media, searchers):
    content = media.png()
    page = look(sent(client, content, "C:/me/mine.png", k="3"))
    answer = searchers[0].ask(searchers[0].image(content), k=3)
    assert ids(page) == [hit.id for hit in answer.hits] and "mine.png" in page.words and "C:" not in page.words
    (own,) = [e for e in page.tags("img") if e["alt"] == "your image, mine.png"]
    assert client.get(own["src"]).mimetype == "image/jpeg"
    key = page.tags("input", name="upload")[0]["value"]
    again = look(client.get(f"/?upload={key}&k=3&split=test"))
    assert "24 texts" in again.words and own["src"] in again.addresses()
    assert "kept no more" in look(client.get("/?upload=other"), 400).words


def test_two_runs_side_by_side(two, searchers):
    page = look(two.get("/?item=test 7&of=image"))
    assert len(page.of("panel")) == 2 and [e["text"] for e in page.tags("h2")][-3:-1] == ["three <b> for test 7", "two for test 7"]
    for searcher, told in zip(searchers, page.of("figures"), strict=True):
        assert f"AP {searcher.ask(searcher.item('image', 'test 7')).average_precision:.3f}" in told
    assert len({e["id"] for e in page.all if e.get("id")}) == len([e for e in page.all if e.get("id")])


def test_one_of_two_runs_refuses(searchers, runs):
    """Guards against an answer that is lost because the other run has none."""
    lone = Searcher(Index.open(runs[1] / "index"))
    page = look(make_app([searchers[0], lone], None, ["a", "b"]).test_client().get("/?text=red"))
    assert len(page.of("panel")) == 2 and len(page.tags("li")) == 10 and len(page.of("refused")) == 1


def test_json_is_what_the_page_says(client, media):
    for address, page in (("?item=test 3&of=image&k=4", None), ("?text=boat&k=4&split=test", None), ("", media.png())):
        if page:
            shown, (found,) = look(sent(client, page)), sent(client, page, path="/api/search").json["runs"]
        else:
            shown, (found,) = look(client.get(f"/{address}")), client.get(f"/api/search{address}").json["runs"]
        assert ids(shown) == [hit["id"] for hit in found["hits"]] and found["title"] == "cca"
        assert shown.of("score") == [f"score {wording.score(hit['score'])}" for hit in found["hits"]]
        assert ("average_precision" in found) == bool(shown.of("figures"))
        if "average_precision" in found:
            assert f"AP {found['average_precision']:.3f}" in shown.of("figures")[0]
    assert client.get("/api/search?text=").status_code == 400 and "empty" in client.get("/api/search?text=").json["error"]
    assert client.get("/api/search").status_code == 400 and client.get("/api/nothing").json == {"error": "There is nothing at this address."}


def test_ties_and_missing_media(heard, media):
    """Equal scores say so, a lost image is its name, sounds are played, and an SVG is never sent."""
    client = make_app([heard], media.made, ["heard"]).test_client()
    page = look(client.get("/?item=video/0&of=video&find=audio,shape3d&k=8"))
    assert page.of("ties")[0] == "ranks 1–4 tie" and len(page.tags("audio")) and page.of("name")
    sound = client.get(page.tags("audio")[0]["src"], headers={"Range": "bytes=0-3"})
    assert (sound.status_code, sound.mimetype, sound.data) == (206, "audio/wav", b"RIFF")
    assert client.get("/media?modality=shape3d&id=shape3d/1").status_code == 404
    assert "does not know the class" in page.words and [e["value"] for e in page.tags("input", name="by")] == ["item"]
    other = look(make_app([heard], None, ["heard"]).test_client().get("/"))
    assert len(other.of("name")) == 18 and "checked" in other.tags("input", value="item")[0]


def test_files_are_read_when_they_are_played(heard, media, tmp_path, monkeypatch):
    """Guards against a page that reads all of a video to know that there is one, and for each part that is asked for."""
    (tmp_path / "he\nard.wav").write_bytes(b"RIFF0000WAVE")  # no header may hold this name
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(File, "read", lambda file: pytest.fail("read as a whole"))
    monkeypatch.setattr(type(media.made), "file", lambda *_: File(pathlib.Path("he\nard.wav"), "audio/wav", 12))
    client = make_app([heard], media.made, ["heard"]).test_client()
    page = look(client.get("/?item=video/0&of=video&find=audio&k=8"))
    address = page.tags("audio")[0]["src"]
    sound = client.get(address, headers={"Range": "bytes=4-7"})
    assert (sound.status_code, sound.mimetype, sound.data) == (206, "audio/wav", b"0000")
    assert client.get(address).data == b"RIFF0000WAVE"
    (tmp_path / "he\nard.wav").unlink()
    assert client.get(address).status_code == 404


def test_a_lost_image_is_its_name(client):
    page = look(client.get("/?item=test 3&of=text&k=64"))
    assert "image test 3" in page.of("name") and len(page.tags("img")) == 63
    assert client.get("/thumbnail?modality=image&id=test 3").status_code == 404
    assert client.get("/thumbnail?modality=image&id=test 4&side=320").mimetype == "image/png"


@pytest.mark.parametrize("address", [
    "/thumbnail?modality=image&id=../../etc/passwd", "/thumbnail?modality=image&id=", "/thumbnail?modality=&id=test 4",
    "/thumbnail?run=1&modality=image&id=test 4", "/thumbnail?run=-1&modality=image&id=test 4", "/media?modality=image&id=test 4",
    "/upload/..%2f..%2fetc%2fpasswd", "/static/../app.py", "/static/%2e%2e/app.py", "/nothing",
])
def test_ids_are_no_paths(client, address):
    """Guards against a file that an address names."""
    look(client.get(address), 404)


def test_alt_texts_are_the_items(client):
    """An image's alternative is the sentence that belongs to it."""
    page = look(client.get("/?item=test 3&of=text"))
    assert all(re.fullmatch(r"a red boat <(test|train) \d+>", e["alt"]) for e in page.tags("img"))
    assert "&lt;test" in client.get("/?item=test 3&of=text").get_data(as_text=True)


@pytest.mark.parametrize("fields, told", [
    ({"text": " "}, "The sentence is empty: type what you look for."),
    ({"text": "blue"}, "This text 'blue': none of its words is known"),
    ({"text": "red " * 3000}, "12,000 letters, more than 10,000"),
    ({"text": "red", "k": "0"}, "'0' results: give a number from 1 to 1,000."),
    ({"text": "red", "k": "ten"}, "'ten' results"),
    ({"text": "red", "k": "9" * 5000}, "results: give a number"),
    ({"text": "red", "find": "smell"}, "Find smell: the index holds image, text."),
    ({"item": "nobody", "of": "image"}, "Item nobody: the index holds no image item of this id"),
    ({"item": "", "of": "image"}, "The item's id is empty"),
    ({"item": "test 3", "of": "smell"}, "the index holds no smell item"),
    ({"by": "image"}, "No image was chosen: choose one."),
])
def test_refusals_in_words(client, fields, told):
    """Each with the form still filled in, and not a flag in it."""
    page = look(client.get("/", query_string=fields), 400)
    (alert,) = page.tags("p", role="alert")
    assert told in alert["text"] and "--" not in alert["text"] and alert["text"].endswith(".")
    for name in ("text", "item", "k"):
        assert page.tags("input", name=name)[0]["value"] == fields.get(name, "10" if name == "k" else "")
    (chosen,) = [e for e in page.tags("input", name="by") if "checked" in e]
    assert chosen["value"] == fields.get("by", "item" if "item" in fields else "text")


def huge():
    """A PNG of 64 megapixels, in some kilobytes."""
    from PIL import Image

    content = io.BytesIO()
    Image.new("1", (8000, 8000)).save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize("content, told, status", [
    (lambda png: b"", "mine.png is empty", 400),
    (lambda png: png()[:60], "is no readable image, or is cut off", 400),
    (lambda png: b"hello", "mine.png is no image that is read here: choose one of JPEG, PNG", 400),
    (lambda png: b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing, which is not read", 400),
    (lambda png: png(size=(1, 1)), "1 x 1 pixels, which show nothing", 400),
    (lambda png: huge(), "64 megapixels, more than 50", 400),
    (lambda png: png() + bytes(9 * 10**6), "9.0 MB, more than 8", 413),
])
def test_images_that_are_refused(client, media, content, told, status):
    for path in ("/", "/api/search"):
        found = sent(client, content(media.png), path=path, k="7", split="test")
        assert found.status_code == status and told in (found.json["error"] if path != "/" else look(found, status).words)
        assert "image 1" not in found.get_data(as_text=True)
    page = look(sent(client, content(media.png), k="7", split="test"), status)
    assert page.tags("input", id="k")[0]["value"] == "7" and page.tags("option", value="test")[0].get("selected", 0) is None


def test_a_body_without_end(client, media):
    found = sent(client, media.png() + bytes(33 * 10**6), k="7")
    page = look(found, 413)
    assert "8 MB at most" in page.tags("p", role="alert")[0]["text"] and "checked" in page.tags("input", value="image")[0]
    assert "8 MB" in sent(client, bytes(33 * 10**6), path="/api/search").json["error"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "192.168.1.7", "", "[", "localhost@evil.example"])
def test_foreign_hosts(client, host):
    """Guards against a site whose name leads here, and which would read what is searched."""
    for path in ("/", "/api/search?text=red", "/static/style.css", "/thumbnail?modality=image&id=test 4"):
        found = client.get(path, headers={"Host": host})
        assert found.status_code == 400 and b"cca" not in found.data
    for own in ("127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080"):
        assert client.get("/", headers={"Host": own}).status_code == 200


def test_headers(client):
    for path in ("/", "/api/search?text=red", "/static/style.css", "/nothing", "/thumbnail?modality=image&id=test 4"):
        headers = client.get(path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'self';") and "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"


def test_no_address_leaves_the_page(two, media):
    """Guards against a font, script or link of another host, and what the policy forbids: inline styles and scripts."""
    for address in ("/", ITEM, "/?text=red", "/?text=", "/nothing"):
        response = two.get(address)
        page = look(response, response.status_code)
        for found in page.addresses():
            assert re.match(r"[/#](?!/)", found), found
            if found.startswith("/"):
                assert two.get(found).status_code in (200, 302, 400), found
        assert not [e for e in page.all if "style" in e or any(name.startswith("on") for name in e if name != "on")]
        assert all("src" in e for e in page.tags("script")) and not page.tags("style")
        assert "http" not in two.get("/static/style.css").text + two.get("/static/page.js").text


def test_every_control_is_labelled(two, media):
    for response in (two.get("/"), two.get(ITEM), two.get("/?text="), sent(two, media.png())):
        page = look(response, response.status_code)
        labels = {e["for"] for e in page.tags("label") if "for" in e}
        for control in page.tags("input", "select"):
            assert control.get("type") == "hidden" or control.get("id") in labels or "label" in control["in"], control
        assert all(e["text"].strip() for e in page.tags("button", "a", "label", "option", "th", "legend", "h1", "h2", "h3"))
        assert all(e.get("alt") for e in page.tags("img")) and all(e.get("aria-label") for e in page.tags("audio", "video"))
        assert len(page.tags("h1")) == len(page.tags("main")) == 1 and page.tags("html")[0]["lang"] == "en" and page.tags("title")[0]["text"]
        names = [" ".join(e["text"].split()) for e in page.tags("a", class_="by-this")]
        assert len(set(names)) >= len(names) / 2  # the same item may stand in both runs


def test_the_beginning(client):
    page = look(client.get("/"))
    assert len(page.of("beginning")) == 2 and len(page.tags("li")) == 12 and all("test" in f for f in page.of("facts"))
    assert "cca" in page.words and "mAP" in page.words and "standard; test items are searched" in page.words
    assert ids(page) == ids(look(client.get("/"))) != ids(look(client.get("/?draw=1")))


def test_an_address_is_short(client):
    """Fields that say nothing are left out of it, and it asks the same; guards against a redirection without end."""
    found = client.get("/?by=text&text=red+boat&item=&of=image&image=&find=&k=10&class=&split=&seen=")
    assert (found.status_code, found.headers["Location"]) == (302, "/?text=red+boat")
    rng = np.random.default_rng(0)
    for _ in range(200):
        names = ("by", "text", "item", "of", "upload", "find", "k", "class", "split", "seen", "image")
        values = {n: rng.choice(["", "text", "image", "item", "7", " "]) for n in names if rng.random() < 0.4}
        form = Form.read(values)
        assert Form.read(form.address()).address() == form.address() and Form.read(form.address()).asked == form.asked


def test_the_newest_uploads_are_kept():
    """Guards against a memory that grows with each image."""
    kept = upload.Uploads()
    keys = [kept.keep(upload.Upload(str(i), b"")) for i in range(40)]
    assert [kept.get(key) is not None for key in keys] == [i >= 40 - upload.KEPT for i in range(40)]


def test_an_index_without_its_run(runs):
    """Items ask alone, and the page says why; guards against fields that can only be refused."""
    lone = Searcher(Index.open(runs[0] / "index"))
    page = look(make_app([lone], None, ["lone"]).test_client().get("/"))
    assert "Sentences are not taken: the run of this index is not given" in page.words
    assert "checked" in page.tags("input", value="item")[0]


def test_a_query_takes_less_than_a_tenth_of_a_second(tmp_path, media):
    """Processor time of a page on 2,000 images and as many sentences, the least of some; an item's is ranked whole."""
    rng = np.random.default_rng(0)
    facts = dataclasses.make_dataclass("E", ["digest", "dimensions", "similarity"])("5e1f" * 16, 20, "cosine")
    with Index.open(tmp_path / "index", facts) as index:
        for m in ("image", "text"):
            names = [str(i) for i in range(2000)]
            columns = {"name": names, "row": names, "pair": names, "class": [str(i % 20) for i in range(2000)], "split": ["test"] * 2000}
            index.add(m, names, rng.normal(size=(2000, 20)), columns)
    client, took = make_app([Searcher(Index.open(tmp_path / "index"))], media.made, ["x"]).test_client(), []
    for i in range(6):
        start = time.process_time()
        assert len(look(client.get(f"/?item={i}&of=text")).tags("li")) == 10
        took.append(time.process_time() - start)
    assert min(took) < 0.1


def test_scores_have_four_digits():
    """Guards against "1.000" eight times where scores differ, and digits that mean nothing."""
    assert [wording.score(x) for x in (1.0, 0.99996, 0.5, 123.456, 12345.6, -0.00012345)] == [
        "1.000", "1.000", "0.5000", "123.5", "1.235e+04", "-0.0001234"]


def test_the_first_question_waits_for_no_import(searchers, media):
    """Guards against imports and weights that the first question reads, a second and more of processor time."""
    media, encoder = media.made, searchers[0].encoder
    vars(encoder).pop("method", None)
    make_app(searchers[:1], media, ["cca"])
    assert media.prepared and "method" in vars(encoder)
