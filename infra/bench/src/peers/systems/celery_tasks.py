"""Celery on RabbitMQ: acks after the task, confirms for every publish, no results. Each run of a task is one line of a file."""

import os
import time

from celery import Celery

app = Celery("bench", broker=os.environ["BENCH_AMQP_URL"])
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    task_default_queue="bench.celery",
    task_serializer="json",
    worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "64")),
    worker_hijack_root_logger=False,
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
)
_file = None


@app.task(name="bench.noop")
def noop(number, sent_at_ns, filler):
    global _file
    if _file is None:
        _file = os.open(os.environ["BENCH_RECORD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(_file, f"{number} {sent_at_ns} {time.monotonic_ns()}\n".encode())
