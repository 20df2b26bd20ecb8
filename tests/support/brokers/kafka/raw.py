"""Publishes to Kafka what confluent-kafka itself refuses to, by the C library inside it."""

import ctypes
from pathlib import Path

import confluent_kafka

_END, _TOPIC, _VALUE, _FLAGS, _HEADER = 0, 1, 4, 7, 9
"""Kinds of argument of rd_kafka_producev, as rdkafka.h numbers them."""
_COPY = 2
_PRODUCER = 0
_TIMEOUT = 10_000
"""Milliseconds."""


def publish_with_header(servers: str, topic: str, body: bytes, name: bytes) -> None:
    """Publish one record with a header of any name; return once the broker has confirmed it."""
    places = Path(confluent_kafka.__file__).parents[1].glob("confluent_kafka.libs/librdkafka*")
    library = ctypes.CDLL(str(next(places)))
    library.rd_kafka_conf_new.restype = library.rd_kafka_new.restype = ctypes.c_void_p
    error, size = ctypes.create_string_buffer(512), ctypes.c_size_t(512)
    settings = ctypes.c_void_p(library.rd_kafka_conf_new())
    for key, value in {"bootstrap.servers": servers, "log_level": "0"}.items():
        assert not library.rd_kafka_conf_set(settings, key.encode(), value.encode(), error, size), error.value
    producer = ctypes.c_void_p(library.rd_kafka_new(_PRODUCER, settings, error, size))
    assert producer.value, error.value
    try:
        arguments = (
            *(_TOPIC, ctypes.c_char_p(topic.encode())),
            *(_VALUE, ctypes.c_char_p(body), ctypes.c_size_t(len(body)), _FLAGS, _COPY),
            *(_HEADER, ctypes.c_char_p(name), ctypes.c_char_p(b"1"), ctypes.c_ssize_t(1)),
        )
        assert not library.rd_kafka_producev(producer, *arguments, _END)
        assert not library.rd_kafka_flush(producer, _TIMEOUT)
    finally:
        library.rd_kafka_destroy(producer)
