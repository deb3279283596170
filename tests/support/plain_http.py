"""Clients for servers on this machine: plain HTTP, and no proxy."""

import ssl

import httpx

# Never used, and given all the same: httpx makes one for each client, in 17 ms.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def client(url: str, key: str | None = None) -> httpx.Client:
    """A client of the server at `url`, with a bearer key or none."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return httpx.Client(
        base_url=url, headers=headers, timeout=30, trust_env=False, verify=_NO_TLS
    )


def get(url: str) -> httpx.Response:
    """One request, of nobody."""
    return httpx.get(url, trust_env=False, verify=_NO_TLS)
