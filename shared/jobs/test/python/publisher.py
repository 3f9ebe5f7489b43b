"""Publishes an event that Warren's subscribers take, with nothing but pika. Arguments: URL, type, id, data as JSON."""
import sys
from datetime import datetime, timezone

import pika

url, event_type, event_id, data = sys.argv[1:5]
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.confirm_delivery()
channel.basic_publish(
    exchange="warren.events",
    routing_key=event_type,
    body=data.encode(),
    properties=pika.BasicProperties(
        message_id=event_id,
        content_type="application/json",
        delivery_mode=2,
        correlation_id="from-python",
        headers={
            "cloudEvents_specversion": "1.0",
            "cloudEvents_id": event_id,
            "cloudEvents_type": event_type,
            "cloudEvents_source": "/python",
            "cloudEvents_time": datetime.now(timezone.utc).isoformat(),
            "cloudEvents_dataversion": 1,
        },
    ),
)
connection.close()
