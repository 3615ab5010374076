"""The page of `tfxmr search --web`: its addresses, and what it refuses.

Without JavaScript all works. A query by sentence or item is an address; an image is sent, kept in memory as one of the
newest, and has an address from then on. Items are found by their ids in the index, never by a path.
"""
import dataclasses
import io
import pathlib
import random
from collections.abc import Mapping, Sequence
from typing import Any

import flask
from werkzeug import exceptions
from werkzeug.datastructures import FileStorage

from tfxmr.core.errors import InputError
from tfxmr.search import told
from tfxmr.search.page import form as form_module
from tfxmr.search.page import upload as upload_module
from tfxmr.search.page import wording
from tfxmr.search.page.form import Form
from tfxmr.search.page.media import Item, Kept, Media, kind_of
from tfxmr.search.page.serving import serve, trusted
from tfxmr.search.page.upload import Upload
from tfxmr.search.page.view import Panel, Shown, Viewer, rows
from tfxmr.search.query import Answer, Searcher

__all__ = ["make_app", "serve"]

BODY = 32 * 10**6  # bytes of a request: so that an image a little too large is refused with the form still filled in
SIDES = (160, 320, 640)  # pixels of thumbnails
BEGINNINGS = 6  # items of each modality on the page that is shown first
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
REFUSED = {
    400: "This cannot be understood.", 404: "There is nothing at this address.",
    405: "This address is not asked in this way.",
    413: f"What was sent is too large: an image may have {upload_module.MOST_BYTES // 10**6} MB at most.",
    500: "Something went wrong here; the terminal that runs this page says what.",
}


def make_app(searchers: Sequence[Searcher], media: Media | None, titles: Sequence[str]) -> flask.Flask:
    """The page as a WSGI application, which answers those alone who ask for this machine by a name of its own.

    Args:
      searchers: of the runs, shown side by side.
      media: of the items of all of them; None shows names.
      titles: of the runs.

    Returns:
      flask.Flask. Its config's HOST says which names it is asked by, see tfxmr.search.page.serving.trusted.
    """
    app = flask.Flask(__name__)
    app.config.update(MAX_CONTENT_LENGTH=BODY, MAX_FORM_MEMORY_SIZE=BODY, HOST="127.0.0.1")
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.jinja_env.globals["wording"] = wording
    app.jinja_env.get_template("page.html")  # this and what follows take longer than the first question may
    for searcher in searchers:
        searcher.prepare()
    if media:
        media.prepare()
    page = Page(searchers, media, titles)
    app.add_url_rule("/", view_func=page.page, methods=["GET", "POST"])
    app.add_url_rule("/api/search", view_func=page.api, methods=["GET", "POST"])
    app.add_url_rule("/thumbnail", view_func=page.thumbnail)
    app.add_url_rule("/media", view_func=page.medium)
    app.add_url_rule("/upload/<key>", view_func=page.uploaded)
    app.register_error_handler(exceptions.HTTPException, page.refused)

    @app.before_request
    def refuse_strangers() -> flask.Response | None:
        """A page of another site that has this machine's address by its name server could read all of it."""
        if trusted(flask.request.headers.get("Host", ""), app.config["HOST"]):
            return None
        refused = "This page is not asked by that name; take the address that the terminal shows.\n"
        return flask.Response(refused, 400, content_type="text/plain; charset=utf-8")

    @app.after_request
    def guard(response: flask.Response) -> flask.Response:
        response.headers.update(HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return app


class PageLinks:
    """Addresses of the page, see view.Links.

    Args:
      media: Kept.
      kept: fields of the form that the search by an item takes over.
    """

    def __init__(self, media: Kept, kept: Mapping[str, str]) -> None:
        self._media, self._kept = media, kept

    def thumbnail(self, run: int, item: Item, side: int) -> str | None:
        """As in Links."""
        if self._media.thumbnail(item, str(item["modality"]), side) is None:
            return None
        return _address("thumbnail", run=run, modality=item["modality"], id=item["id"], side=side)

    def player(self, run: int, item: Item) -> str | None:
        """As in Links."""
        if item["modality"] in ("image", "text") or self._media.file(item, str(item["modality"])) is None:
            return None
        return _address("medium", run=run, modality=item["modality"], id=item["id"])

    def ask(self, item: Item) -> str | None:
        """As in Links."""
        return _address("page", item=item["id"], of=item["modality"], **self._kept)


class Page:
    """The views of the page; arguments as of `make_app`."""

    def __init__(self, searchers: Sequence[Searcher], media: Media | None, titles: Sequence[str]) -> None:
        self._searchers, self._titles, self._media = list(searchers), list(titles), Kept(media)
        self._uploads = upload_module.Uploads()
        self._infos = [searcher.index.info() for searcher in self._searchers]
        self._modalities = [*dict.fromkeys(m for info in self._infos for m in info["items"])]
        self._unable = {m: self._why_not(m) for m in ("text", "image")}
        self._choices: dict[str, list[str]] = {}
        for searcher in self._searchers:
            names = [] if searcher.encoder is None else list(map(str, searcher.encoder.class_names))
            for name, values in form_module.choices(searcher.index, names).items():
                if name == "class" and not searcher.classes:
                    continue
                self._choices[name] = [*dict.fromkeys([*self._choices.get(name, []), *values])]

    def page(self) -> Any:
        """The form, and the answers, or some items to begin with."""
        form, sent = self._form()
        if flask.request.method == "GET" and form.asked and flask.request.args.to_dict() != form.address():
            return flask.redirect(_address("page", **form.address()))  # without the fields that are empty
        if not form.asked:
            form = dataclasses.replace(form, by="item" if self._unable["text"] else "text")
            return self._render(form, beginnings=self._beginnings(form))
        try:
            form, upload = self._kept(form, sent)
            answers = self._answers(form, upload)
        except InputError as error:
            status = 413 if isinstance(error, upload_module.TooLarge) else 400
            return self._render(form, wording.refusal(error)), status
        viewer = self._viewer(form)
        panels = [
            Panel(title, wording.refusal(found)) if isinstance(found, InputError)
            else viewer.panel(run, title, found, self._searchers[run])
            for run, (title, found) in enumerate(zip(self._titles, answers, strict=True))
        ]
        return self._render(form, panels=panels)

    def api(self) -> Any:
        """The answers as JSON: {"runs": [{"title", ...}]}, each as told.facts has it, or {"error": why not}."""
        form, sent = self._form()
        if not form.asked:
            return {"error": "Nothing is asked: give ?text=..., or ?item=...&of=MODALITY, or send an image."}, 400
        try:
            form, upload = self._kept(form, sent)
            answers = self._answers(form, upload)
        except InputError as error:
            return {"error": wording.refusal(error)}, 413 if isinstance(error, upload_module.TooLarge) else 400
        return {"runs": [{"title": title} | self._record(found)
                         for title, found in zip(self._titles, answers, strict=True)]}

    def thumbnail(self) -> Any:
        """The image of an item of the index."""
        modality, item = self._item()
        side = flask.request.args.get("side", SIDES[0], int)
        content = self._media.thumbnail(item, modality, side if side in SIDES else SIDES[0])
        if content is None:
            flask.abort(404)
        return _sent(content, str(kind_of(content)))

    def medium(self) -> Any:
        """The sound or video of an item of the index."""
        modality, item = self._item()
        found = self._media.file(item, modality)
        if found is None:
            flask.abort(404)
        try:
            return _sent(found.path or found.read(), found.kind)
        except OSError:  # removed since, or no more to be read
            flask.abort(404)

    def uploaded(self, key: str) -> Any:
        """An image that was sent before, by its key."""
        upload = self._uploads.get(key)
        if upload is None:
            flask.abort(404)
        return _sent(upload.preview(), "image/jpeg")

    def refused(self, error: exceptions.HTTPException) -> Any:
        """What the page, or JSON for the API, says of an error."""
        if error.response is not None or error.code is None or error.code < 400:
            return error  # a redirection
        own = error.description if error.code == 400 and type(error) is exceptions.BadRequest else None
        words = own if own and own != exceptions.BadRequest.description else REFUSED.get(error.code, error.name)
        if flask.request.path.startswith("/api/"):
            return {"error": words}, error.code
        form = Form.read(flask.request.args)
        if error.code == 413:  # before a field was read
            form = dataclasses.replace(form, by="image", asked=True)
        return self._render(form, words), error.code

    def _render(self, form: Form, refused: str = "", **shown: Any) -> str:
        upload = self._uploads.get(form.upload) if form.upload else None
        return flask.render_template(
            "page.html", form=form, refused=refused, titles=self._titles, modalities=self._modalities,
            choices=self._choices, unable=self._unable, upload=upload,
            kinds=[kind for kind in form_module.KINDS if kind == "item" or kind in self._modalities],
            runs=[(title, wording.facts(s.encoder, info), wording.figures(s.encoder))
                  for title, s, info in zip(self._titles, self._searchers, self._infos, strict=True)],
            most=form_module.MOST, longest=form_module.LONGEST, megabytes=upload_module.MOST_BYTES // 10**6,
            **shown,
        )

    def _viewer(self, form: Form) -> Viewer:
        # A class was asked for this query; the next one has another.
        kept = {name: value for name, value in form.address().items() if name in ("k", "split", "seen")}
        return Viewer(self._media, PageLinks(self._media, kept))

    def _form(self) -> tuple[Form, FileStorage | None]:
        """What was asked, and the image that was sent with it."""
        form, sent = Form.read(flask.request.values), flask.request.files.get("image")
        if sent is None or not sent.filename or flask.request.values.get("by", "image") != "image":
            return form, None
        return dataclasses.replace(form, by="image", asked=True), sent

    def _kept(self, form: Form, sent: FileStorage | None) -> tuple[Form, Upload | None]:
        """The form with the key of the image that was sent now, or before, and that image."""
        if sent is None:
            return form, self._uploads.get(form.upload) if form.by == "image" else None
        upload = upload_module.read(sent.read(), sent.filename or "")
        return dataclasses.replace(form, upload=self._uploads.keep(upload)), upload

    def _record(self, answer: Answer | InputError) -> dict[str, Any]:
        if isinstance(answer, InputError):
            return {"error": wording.refusal(answer)}
        return told.facts(answer, lambda columns, modality: self._media.text(columns, modality))

    def _answers(self, form: Form, upload: Upload | None) -> list[Answer | InputError]:
        """What each run answers. Raises InputError if none does."""
        found: list[Answer | InputError] = []
        for searcher in self._searchers:
            try:
                found.append(form.answer(searcher, upload))
            except InputError as error:
                found.append(error)
        errors = [answer for answer in found if isinstance(answer, InputError)]
        if len(errors) == len(found):
            raise errors[0]
        return found

    def _beginnings(self, form: Form) -> list[tuple[str, Sequence[Shown], str]]:
        """(modality, some items, address of others) of each modality, from the first run."""
        searcher, draw = self._searchers[0], flask.request.args.get("draw", 0, int)
        others = flask.url_for("page", draw=draw + 1)
        viewer = self._viewer(form)
        return [
            (m, viewer.items(0, _drawn(searcher, m, draw), searcher), others) for m in searcher.modalities
        ]

    def _why_not(self, modality: str) -> str:
        """Why queries of one's own cannot be of a modality; "" if a run takes them. Loads what they need before one."""
        reason = ""
        for searcher in self._searchers:
            try:
                if searcher.encoder is None:
                    raise InputError("the run of this index is not given, so that items alone can ask")
                searcher.encoder.features(modality, [])
                return ""
            except InputError as error:
                reason = reason or str(error)
        return reason

    def _item(self) -> tuple[str, Item]:
        """(modality, columns) of the item that an address names; there is no other way to a file."""
        args = flask.request.args
        run, modality, id_ = args.get("run", 0, int), args.get("modality", ""), args.get("id", "")
        if not (0 <= run < len(self._searchers) and id_ and modality in self._infos[run]["items"]):
            flask.abort(404)
        found = rows(self._searchers[run], {"modality": [modality], "id": [id_]})
        if not found:
            flask.abort(404)
        return modality, found[0]


def _address(view: str, **values: Any) -> str:
    return flask.url_for(view, **values)


def _sent(content: bytes | pathlib.Path, kind: str) -> flask.Response:
    """A medium, of which players ask parts; of a file no more than those is read."""
    source = io.BytesIO(content) if isinstance(content, bytes) else content
    response = flask.send_file(source, kind, download_name="medium", conditional=True, max_age=3600)  # not its own name
    response.cache_control.public, response.cache_control.private = False, True
    return response


def _drawn(searcher: Searcher, modality: str, draw: int) -> list[Item]:
    """Some items of a modality, others for each `draw`: of the test part, where there is one."""
    index, rng = searcher.index, random.Random(f"{modality} {draw}")
    columns = index.info()["columns"]
    where = {"modality": [modality]}
    if "split" in columns and index.count(where | {"split": ["test"]}):
        where["split"] = ["test"]
    count = index.count(where)
    if "row" in columns and "split" in where:  # which finds them without reading all
        numbers = rng.sample(range(count), min(BEGINNINGS, count))
        found = rows(searcher, where | {"row": list(map(str, numbers))})
        if len(found) == len(numbers):
            return found
    found = rows(searcher, where)
    return rng.sample(found, min(BEGINNINGS, len(found)))
