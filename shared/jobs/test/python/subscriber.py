"""Subscribes to Warren's events with nothing but pika: prints each as one line of JSON. Arguments: URL, pattern, how many."""
import json
import sys

import pika

url, pattern, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.queue_declare("python.events", durable=True, arguments={"x-queue-type": "quorum"})
channel.queue_bind("python.events", "warren.events", pattern)
channel.basic_qos(prefetch_count=10)
print("ready", flush=True)

for method, properties, body in channel.consume("python.events"):
    event = {
        "routing_key": method.routing_key,
        "message_id": properties.message_id,
        "correlation_id": properties.correlation_id,
        "content_type": properties.content_type,
        "delivery_mode": properties.delivery_mode,
        "headers": properties.headers,
        "data": json.loads(body),
    }
    print(json.dumps(event), flush=True)
    channel.basic_ack(method.delivery_tag)
    count -= 1
    if count == 0:
        break
connection.close()
