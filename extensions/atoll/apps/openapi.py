"""Prints the service's OpenAPI description, from which the lab's types are generated."""

from __future__ import annotations

import json

from atoll.apps.api import create_api

if __name__ == "__main__":
    print(json.dumps(create_api().openapi(), indent=1, sort_keys=True))
