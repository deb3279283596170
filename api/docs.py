"""Pages for people: the API as a document, and one page for each error code.

Made from the OpenAPI document and the table of problems: no script, nothing from elsewhere,
so they work offline and under the strictest content security policy.
"""

from html import escape
from importlib import resources
from string import Template

from litestar import get
from litestar.params import FromPath
from litestar.response import Redirect

from api import reference
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
    return _page("API", reference.page(request.app.state.openapi))


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


def _problem(code: str, problem: Problem) -> str:
    return f"""
<h1>{escape(problem.title)}</h1>
<p><code>{escape(code)}</code>, status {problem.status}</p>
<p>{reference.code(problem.remedy)}</p>
<p><a href="/docs#problems">All error codes</a></p>"""


HANDLERS = (index, get_docs, get_style, get_problem)
