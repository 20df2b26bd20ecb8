"""Why a server gave no result is said in words, whatever the client library calls it."""

import socket
import ssl

import pytest
import redis.exceptions
from aiormq.exceptions import (
    AMQPConnectionError,
    ChannelAccessRefused,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from confluent_kafka import KafkaError, KafkaException
from nats import errors as nats_errors

from image_moderation.brokers.kafka import connection as kafka
from image_moderation.brokers.rabbitmq import connection as rabbitmq
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.outage import explain


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (redis.exceptions.AuthenticationError("invalid password"), "authentication failed: invalid password"),
        (
            caused(redis.exceptions.RedisClusterException("no node"), redis.exceptions.AuthenticationError()),
            "authentication failed: no node",
        ),
        (nats_errors.AuthorizationError(), "authentication failed: nats: authorization failed"),
        (
            nats_errors.Error("nats: 'Authorization Violation'"),
            "authentication failed: nats: 'Authorization Violation'",
        ),
        (ProbableAuthenticationError("ACCESS_REFUSED"), "authentication failed: ACCESS_REFUSED"),
        (
            redis.exceptions.ConnectionError("No master found for 'm' : h:1 - login refused: why"),
            "authentication failed: No master found for 'm' : h:1 - login refused: why",
        ),
        (
            nats_errors.Error("the server offers no TLS, so nothing was sent to it"),
            "TLS failed: the server offers no TLS, so nothing was sent to it",
        ),
        (redis.exceptions.NoPermissionError("no 'xadd'"), "permission denied: no 'xadd'"),
        (
            nats_errors.Error("nats: Permissions Violation for Publish"),
            "permission denied: nats: Permissions Violation for Publish",
        ),
        (ChannelAccessRefused("no queue"), "permission denied: no queue"),
        (ssl.SSLCertVerificationError(1, "expired"), "TLS failed: expired"),
        (
            caused(AMQPConnectionError("wrong version"), ssl.SSLError(1, "wrong version")),
            "TLS failed: wrong version",
        ),
        (socket.gaierror(-2, "unknown"), "the host name can't be resolved: [Errno -2] unknown"),
        (
            caused(redis.exceptions.ConnectionError("Error 111"), ConnectionRefusedError(111, "refused")),
            "connection refused: Error 111",
        ),
        (TimeoutError(), "no answer in time"),
        (
            redis.exceptions.TimeoutError("Timeout connecting to server"),
            (
                "no answer in time: Timeout connecting to server; "
                "it may also be that one side speaks TLS and the other does not"
            ),
        ),
        (
            redis.exceptions.OutOfMemoryError("command not allowed"),
            "the server's memory is full: command not allowed",
        ),
        (
            redis.exceptions.ResponseError(
                "Error running script (call to f_1): @user_script: 1: -OOM command not allowed"
            ),
            (
                "the server's memory is full: Error running script (call to f_1): "
                "@user_script: 1: -OOM command not allowed"
            ),
        ),
        (redis.exceptions.ResponseError("MISCONF AOF"), "the server can't write to its disk: MISCONF AOF"),
        (redis.exceptions.MasterDownError("down"), "the server takes no writes: down"),
        (redis.exceptions.BusyLoadingError("loading"), "the server is loading its data: loading"),
        (redis.exceptions.ClusterDownError("down"), "the Cluster does not serve all slots: down"),
        (
            redis.exceptions.ConnectionError("the server hung up after the TLS handshake; why"),
            "TLS failed: the server hung up after the TLS handshake; why",
        ),
        (
            ssl.SSLError(1, "[SSL: X] tlsv13 alert certificate required"),
            (
                "TLS failed: [SSL: X] tlsv13 alert certificate required; "
                "the server wants a certificate of an authority that it knows"
            ),
        ),
        (
            ssl.SSLError(1, "self-signed certificate in certificate chain"),
            (
                "TLS failed: self-signed certificate in certificate chain; "
                "no authority that is trusted has signed it"
            ),
        ),
        (RuntimeError("odd\nerror"), "RuntimeError: odd error"),
    ],
)
def test_words(error: Exception, line: str) -> None:
    assert explain(error) == line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KafkaError(KafkaError._AUTHENTICATION, "SASL"), "authentication failed: SASL"),
        (KafkaError(KafkaError.SASL_AUTHENTICATION_FAILED, "SASL"), "authentication failed: SASL"),
        (KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED, "Group"), "permission denied: Group"),
        (KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "Topic"), "permission denied: Topic"),
        (
            KafkaError(KafkaError._RESOLVE, "Failed to resolve 'h:1'"),
            "the host name can't be resolved: Failed to resolve 'h:1'",
        ),
        (
            KafkaError(KafkaError._TRANSPORT, "Connection refused (in state CONNECT)"),
            "connection refused: Connection refused (in state CONNECT)",
        ),
        (
            KafkaError(KafkaError._TRANSPORT, "Disconnected (in state SSL_HANDSHAKE)"),
            "TLS failed: Disconnected (in state SSL_HANDSHAKE)",
        ),
        (KafkaError(KafkaError._TIMED_OUT, "late"), "no answer in time: late"),
        (KafkaError(KafkaError._TRANSPORT, "odd"), "_TRANSPORT: odd"),
        (
            KafkaError(KafkaError._TRANSPORT, "Local: Broker transport failure"),
            (
                "_TRANSPORT: Local: Broker transport failure; "
                "it may be that one side speaks TLS and the other does not"
            ),
        ),
        (KafkaError(KafkaError._SSL, "why"), "TLS failed: why"),
    ],
)
def test_words_of_kafka(error: KafkaError, line: str) -> None:
    with pytest.raises(BrokerUnavailable) as caught, kafka.errors():
        raise KafkaException(error)
    assert str(caught.value) == line


def test_rabbitmq_names_the_virtual_host() -> None:
    refusal = InvalidFrameError("Expected one of ['Connection.OpenOk'], got <Connection.Close>")
    with (
        pytest.raises(BrokerUnavailable, match="permission denied: there is no such virtual host"),
        rabbitmq.errors(),
    ):
        raise refusal
