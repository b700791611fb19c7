"""Whether every part of the platform answers where the others look for it: run by `helm test`."""

import os
import ssl
import sys
import time
import urllib.error
import urllib.request

PATIENCE_S = 60
trusted = ssl.create_default_context(cafile="/srv/trust/ca.crt")


def answer(url):
    try:
        # the chart's own addresses, HTTP and HTTPS
        with urllib.request.urlopen(url, timeout=5, context=trusted) as found:  # noqa: S310
            return found.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return str(error)


failed = False
for part, wanted in {
    "HUB": 200,
    "SERVICE": 200,
    "PROXY": 200,
    "LOGIN": 200,
    "REGISTRY": 401,
}.items():
    url = os.environ.get(part)
    if not url:
        continue
    deadline = time.monotonic() + PATIENCE_S
    while (found := answer(url)) != wanted and time.monotonic() < deadline:
        time.sleep(1)
    print(f"{part.lower():<9} {url}: {found}")
    failed = failed or found != wanted
sys.exit(failed)
