"""What is on a page, for tests."""
from html.parser import HTMLParser

VOID = {"img", "input", "link", "meta", "br", "hr", "source"}
LOADS = {"href", "src", "action", "formaction", "poster", "srcset", "data"}


class Look(HTMLParser):
    """All elements of a page, with the texts within; a fault for an end without a beginning."""

    def __init__(self, text):
        super().__init__()
        self.all, self.open = [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "text": "", "in": [e["tag"] for e in self.open], **dict(attrs)}
        self.all.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1]["tag"] == tag, (tag, [e["tag"] for e in self.open], self.getpos())
        self.open.pop()
        if tag not in ("span", "a", "abbr"):
            self.handle_data(" ")

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def tags(self, *names, **attributes):
        return [e for e in self.all if e["tag"] in names and all(e.get(k.rstrip("_")) == v for k, v in attributes.items())]

    def of(self, name):
        """The words of each element of a class."""
        return [" ".join(e["text"].split()) for e in self.all if name in (e.get("class") or "").split()]

    @property
    def words(self):
        return " ".join(self.tags("body")[0]["text"].split())

    def addresses(self):
        return [value for e in self.all for name, value in e.items() if name in LOADS and isinstance(value, str)]


def look(response, status=200):
    assert response.status_code == status, (response.status_code, response.get_data(as_text=True)[:500])
    return Look(response.get_data(as_text=True))
