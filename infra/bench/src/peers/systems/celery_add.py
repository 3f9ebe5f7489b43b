"""Adds tasks for the role beside it: a JSON list of [number, sent_at_ns, filler] a line in, one line out when the broker has them."""

import json
import sys

from celery_tasks import app, noop

with app.producer_pool.acquire(block=True) as producer:
    for line in sys.stdin:
        for arguments in json.loads(line):
            noop.apply_async(arguments, producer=producer)
        print("done", flush=True)
