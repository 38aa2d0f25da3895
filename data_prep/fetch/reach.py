"""A quick check that a server can be reached, before the tries and waits for passing faults."""

import socket
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from data_prep.errors import DataPrepError

TIMEOUT_S = 3.0
PORTS = {"http": 80, "https": 443}


def refuse_unreachable(url: str, target: str) -> None:
    """Raise DataPrepError if the server of a URL cannot be connected to; servers behind a proxy are not checked."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return
    try:
        socket.create_connection((host, parts.port or PORTS[parts.scheme]), TIMEOUT_S).close()
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise DataPrepError(
            f"{host} cannot be reached ({reason}); give --mirror, or bring {url} to {target} by other means"
        ) from None
