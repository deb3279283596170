"""The OpenAPI document as a page for people: calls, shapes, events of ours, errors.

No script, nothing from elsewhere.
"""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

import msgspec

from api.problems import PROBLEMS

_LARGEST = 2**53 - 1  # of every integer: to say so each time would say nothing


def page(document: dict[str, Any]) -> str:
    """The page's body."""
    calls = "".join(
        _call(document, path, method, call) for path, method, call in _calls(document)
    )
    shapes = "".join(
        _shape(name, shape) for name, shape in document["components"]["schemas"].items()
    )
    return (
        _contents(document)
        + calls
        + _section("events", "Events of Daybook itself", _own(document))
        + _section("shapes", "Shapes", shapes)
        + _section("problems", "Errors", _codes())
    )


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Rows of HTML cells under titles; nothing when there are none."""
    if not rows:
        return ""
    lines = "".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows
    )
    titles = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return f"<table><tr>{titles}</tr>{lines}</table>"


def code(text: str) -> str:
    """Escaped text, with what stands between backticks as code."""
    parts = escape(text).split("`")
    return "".join(
        f"<code>{part}</code>" if number % 2 else part
        for number, part in enumerate(parts)
    )


def _calls(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            yield path, method, call


def _contents(document: dict[str, Any]) -> str:
    rows = [
        f'<li><a href="#{call["operationId"]}">{_method(method)} '
        f"<code>{escape(path)}</code></a> {escape(call['summary'])}</li>"
        for path, method, call in _calls(document)
    ]
    return f"""
<h1>Daybook API <small>{escape(document["info"]["version"])}</small></h1>
<p>{escape(document["info"]["description"])} Send
<code>Authorization: Bearer &lt;api key&gt;</code> and JSON. The same as a document for
machines: <a href="/openapi.json">openapi.json</a>; live streams:
<a href="/asyncapi.json">asyncapi.json</a>.</p>
<ul class="contents">{"".join(rows)}
<li><a href="#events">Events of Daybook itself</a></li>
<li><a href="#shapes">Shapes</a></li>
<li><a href="#problems">Errors</a></li></ul>"""


def _call(
    document: dict[str, Any], path: str, method: str, call: dict[str, Any]
) -> str:
    about = code(call["description"]).replace("\n\n", "</p><p>")
    parameters = [_resolved(document, one) for one in call["parameters"]]
    return f"""
<section id="{call["operationId"]}">
<h2>{_method(method)} <code>{escape(path)}</code></h2>
<p><strong>{escape(call["summary"])}.</strong> {about}</p>
{_parameters(parameters)}{_bodies(document, call)}
{_answers(call)}
</section>"""


def _resolved(document: dict[str, Any], one: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in one:
        return one
    found: dict[str, Any] = document["components"]["parameters"][_last(one["$ref"])]
    return found


def _parameters(parameters: Iterable[dict[str, Any]]) -> str:
    rows = [
        (
            f"<code>{one['name']}</code>",
            one["in"],
            _allowed(one["schema"]),
            code(one.get("description", "")),
        )
        for one in parameters
    ]
    return table(("Parameter", "In", "Type", ""), rows)


def _bodies(document: dict[str, Any], call: dict[str, Any]) -> str:
    contents = call.get("requestBody", {"content": {}})["content"]
    if not contents:
        return ""
    bodies = [
        f"{_kind(content['schema'])} as <code>{escape(media_type)}</code>"
        for media_type, content in contents.items()
    ]
    first = next(iter(contents.values()))["schema"]
    shape = document["components"]["schemas"].get(_last(first.get("$ref", "")), {})
    return f"<p>Body: {' or '.join(bodies)}</p>{_example(shape)}"


def _answers(call: dict[str, Any]) -> str:
    done, refused = [], []
    for status, answer in call["responses"].items():
        if "$ref" in answer:
            refused.append(f"<code>{status}</code>")
        else:
            schemas = [one["schema"] for one in answer.get("content", {}).values()]
            shown = " or ".join(_kind(schema) for schema in schemas)
            done.append(f"<code>{status}</code> {shown}")
    return f"<p>Answers {', '.join(done)}; or an error: {' '.join(refused)}</p>"


def _shape(name: str, shape: dict[str, Any]) -> str:
    needed = set(shape.get("required", ()))
    rows = [
        (
            f"<code>{escape(member)}</code>"
            + ("" if member in needed else " (optional)"),
            _allowed(schema),
            code(schema.get("description", "")),
        )
        for member, schema in shape.get("properties", {}).items()
    ]
    return f"""<h3 id="shape-{name}">{name}</h3><p>{code(shape.get("description", ""))}</p>
{table(("Member", "Type", ""), rows)}{_example(shape)}"""


def _kind(schema: dict[str, Any]) -> str:
    """What a schema says of its type, in few words."""
    if "$ref" in schema:
        name = escape(_last(schema["$ref"]))
        return f'<a href="#shape-{name}">{name}</a>'
    if alternatives := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_kind(one) for one in alternatives)
    if "items" in schema:
        return f"list of {_kind(schema['items'])}"
    if "enum" in schema:
        return " ".join(f"<code>{escape(str(one))}</code>" for one in schema["enum"])
    kinds = schema.get("type", "any")
    words = " or ".join(kinds) if isinstance(kinds, list) else kinds
    return escape(schema.get("format", words))


def _allowed(schema: dict[str, Any]) -> str:
    """The type, from where to where, and what counts when nothing is said."""
    text = _kind(schema)
    if schema.get("maximum", _LARGEST) < _LARGEST:
        text += f", {schema['minimum']:,} to {schema['maximum']:,}"
    default = schema.get("default")
    if default is None:
        return text
    shown = (
        default if isinstance(default, str) else msgspec.json.encode(default).decode()
    )
    return f"{text}; default {escape(shown)}"


def _example(shape: dict[str, Any]) -> str:
    if "examples" not in shape:
        return ""
    text = msgspec.json.format(msgspec.json.encode(shape["examples"][0])).decode()
    return f"<pre>{escape(text)}</pre>"


def _own(document: dict[str, Any]) -> str:
    rows = [
        (f"<code>{escape(name)}</code>", escape(call["post"]["summary"]))
        for name, call in document["webhooks"].items()
    ]
    return table(("Event", ""), rows)


def _codes() -> str:
    rows = [
        (f'<a href="/problems/{one}">{one}</a>', str(found.status), escape(found.title))
        for one, found in PROBLEMS.items()
    ]
    return table(("Code", "Status", ""), rows)


def _section(name: str, title: str, content: str) -> str:
    return f'<section id="{name}"><h2>{title}</h2>{content}</section>'


def _method(method: str) -> str:
    return f'<span class="method">{method.upper()}</span>'


def _last(reference: str) -> str:
    return reference.rpartition("/")[2]
