"""Pages for people: the API as a document, and one page for each error code.

Rendered here from the OpenAPI document and the table of problems: no script, nothing from
elsewhere, so they work offline and under the strictest content security policy.
"""

from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from string import Template
from typing import Any

from litestar import get
from litestar.params import FromPath
from litestar.response import Redirect

from api.answers import Answer
from api.operation import public
from api.problems import PROBLEMS, Problem
from api.request import ApiRequest
from domain.errors import NotFound

_STATIC = resources.files("api") / "static"
_PAGE = Template((_STATIC / "page.html").read_text("utf-8"))
_STYLE = (_STATIC / "docs.css").read_bytes()
_HTML, _CSS = b"text/html; charset=utf-8", b"text/css; charset=utf-8"


@get("/", **public())
async def index() -> Redirect:
    """To the documentation."""
    return Redirect("/docs", status_code=302)


@get("/docs", **public())
async def get_docs(request: ApiRequest) -> Answer:
    """Every call of the API."""
    document = request.app.state.openapi
    calls = [
        _call(path, method, call)
        for path, methods in document["paths"].items()
        for method, call in methods.items()
    ]
    return _page("API", _contents(document) + "".join(calls) + _codes())


@get("/docs/docs.css", **public())
async def get_style() -> Answer:
    """What the pages look like."""
    return Answer(_STYLE, media_type=_CSS)


@get("/problems/{code:str}", **public())
async def get_problem(code: FromPath[str]) -> Answer:
    """What an error code means, and what to do."""
    problem = PROBLEMS.get(code)
    if problem is None:
        raise NotFound
    return _page(problem.title, _problem(code, problem))


def _page(title: str, body: str) -> Answer:
    page = _PAGE.substitute(title=escape(title), body=body)
    return Answer(page.encode(), media_type=_HTML)


def _contents(document: dict[str, Any]) -> str:
    rows = [
        f'<li><a href="#{call["operationId"]}">{_method(method)} '
        f"<code>{escape(path)}</code></a> {escape(call['summary'])}</li>"
        for path, methods in document["paths"].items()
        for method, call in methods.items()
    ]
    return f"""
<h1>Daybook API <small>{escape(document["info"]["version"])}</small></h1>
<p>{escape(document["info"]["description"])} Send
<code>Authorization: Bearer &lt;api key&gt;</code> and JSON. The same as a document for
machines: <a href="/openapi.json">openapi.json</a>.</p>
<ul class="contents">{"".join(rows)}</ul>"""


def _call(path: str, method: str, call: dict[str, Any]) -> str:
    about = escape(call["description"]).replace("\n\n", "</p><p>")
    return f"""
<section id="{call["operationId"]}">
<h2>{_method(method)} <code>{escape(path)}</code></h2>
<p><strong>{escape(call["summary"])}.</strong> {_code(about)}</p>
{_parameters(call["parameters"])}{_body(call)}
<p>Answers {", ".join(_status(status) for status in sorted(call["responses"]))}</p>
</section>"""


def _parameters(parameters: Iterable[dict[str, Any]]) -> str:
    rows = [
        (one["name"], one["in"], _code(escape(one.get("description", ""))))
        for one in parameters
    ]
    return _table(("Parameter", "In", ""), rows)


def _body(call: dict[str, Any]) -> str:
    if "requestBody" not in call:
        return ""
    bodies = [
        f"<code>{escape(media_type)}</code>{_named(content['schema'])}"
        for media_type, content in call["requestBody"]["content"].items()
    ]
    return f"<p>Body: {' or '.join(bodies)}</p>"


def _named(schema: dict[str, Any]) -> str:
    reference = schema.get("items", schema).get("$ref")
    if reference is None:
        return ""
    many = "a list of " if "items" in schema else ""
    return f" ({many}<code>{escape(reference.rpartition('/')[2])}</code>)"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    lines = "".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows
    )
    titles = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return f"<table><tr>{titles}</tr>{lines}</table>"


def _codes() -> str:
    rows = [
        (f'<a href="/problems/{code}">{code}</a>', str(one.status), escape(one.title))
        for code, one in PROBLEMS.items()
    ]
    table = _table(("Code", "Status", ""), rows)
    return f'<section id="problems"><h2>Errors</h2>{table}</section>'


def _problem(code: str, problem: Problem) -> str:
    return f"""
<h1>{escape(problem.title)}</h1>
<p><code>{escape(code)}</code>, status {problem.status}</p>
<p>{_code(escape(problem.remedy))}</p>
<p><a href="/docs#problems">All error codes</a></p>"""


def _method(method: str) -> str:
    return f'<span class="method">{method.upper()}</span>'


def _status(status: str) -> str:
    return f"<code>{status}</code>"


def _code(text: str) -> str:
    """What stands between backticks, as code."""
    parts = text.split("`")
    return "".join(
        f"<code>{part}</code>" if number % 2 else part
        for number, part in enumerate(parts)
    )


HANDLERS = (index, get_docs, get_style, get_problem)
