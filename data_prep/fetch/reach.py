"""A quick check that a server can be reached, before the tries and waits for passing faults."""

import socket
from threading import Thread
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from data_prep.errors import DataPrepError

CONNECT_S, ALL_S = 3.0, 6.0  # of one address of the server; of its name and all addresses together
PORTS = {"http": 80, "https": 443}


def refuse_unreachable(url: str, target: str) -> None:
    """Raise DataPrepError if the server of a URL cannot be connected to; servers behind a proxy are not checked."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return
    reasons: list[str] = []

    def connect() -> None:
        try:
            socket.create_connection((host, parts.port or PORTS[parts.scheme]), CONNECT_S).close()
        except (OSError, ValueError) as error:  # ValueError: no name of a host, no number of a port
            reasons.append(getattr(error, "strerror", None) or str(error) or type(error).__name__)

    # Looking up a name has no limit of its own: behind a firewall it takes half a minute.
    attempt = Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(ALL_S)
    if attempt.is_alive():
        reasons.append(f"no answer within {ALL_S:g} s")
    if reasons:
        raise DataPrepError(
            f"{host} cannot be reached ({reasons[0]}); give --mirror, or bring {url} to {target} by other means"
        )
