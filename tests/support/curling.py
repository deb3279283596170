"""curl commands of the documentation and of screens, carried out: curl need not be here."""

import re
from itertools import pairwise
from typing import Any

import httpx


def curl(words: list[str], variables: dict[str, str]) -> Any:
    """What curl would print, read as JSON."""
    text = [
        re.sub(r"\$(\w+)", lambda match: variables[match[1]], word) for word in words
    ]
    [url] = [word for word in text if word.startswith("http")]
    pairs = list(pairwise(text))
    headers = dict(value.split(": ", 1) for option, value in pairs if option == "-H")
    body = next((value for option, value in pairs if option == "-d"), None)
    method = "GET" if body is None else "POST"
    response = httpx.request(
        method, url, headers=headers, content=body, trust_env=False
    )
    assert response.is_success, response.text
    return response.json()
