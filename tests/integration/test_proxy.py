"""The proxy that fault tests put between a program and its server."""

from __future__ import annotations

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.support.processes import wait_until
from tests.support.proxy import Mode, Proxy, proxy


@contextmanager
def echo_server() -> Iterator[tuple[int, list[bytes]]]:
    """Its port, and what each connection has received; sends everything back."""
    received: list[bytes] = []

    def serve(connection: socket.socket, number: int) -> None:
        with suppress(OSError), connection:
            while data := connection.recv(65536):
                received[number] += data
                connection.sendall(data)

    def listen() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                received.append(b"")
                threads.append(threading.Thread(target=serve, args=(connection, len(received) - 1)))
                threads[-1].start()

    listener = socket.create_server(("127.0.0.1", 0))
    threads = [threading.Thread(target=listen)]
    threads[0].start()
    try:
        yield listener.getsockname()[1], received
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in threads:
            thread.join(60)


@pytest.fixture
def server() -> Iterator[tuple[int, list[bytes]]]:
    with echo_server() as server:
        yield server


@pytest.fixture
def between(server: tuple[int, list[bytes]]) -> Iterator[Proxy]:
    with proxy(server[0]) as between:
        yield between


def connected(between: Proxy, timeout_s: float = 60) -> socket.socket:
    return socket.create_connection(("127.0.0.1", between.port), timeout=timeout_s)


def echo(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return received(connection, len(data))


def received(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (part := connection.recv(size - len(data))):
        data += part
    return data


def silent(connection: socket.socket) -> bool:
    connection.settimeout(0.1)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(60)
    return False


def test_passes_both_ways_and_the_end_too(between: Proxy) -> None:
    data = bytes(range(256)) * 4096
    with connected(between) as connection:
        answer: list[bytes] = []
        reader = threading.Thread(target=lambda: answer.append(received(connection, len(data))))
        reader.start()
        connection.sendall(data)
        reader.join()
        assert answer == [data]
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    wait_until(lambda: between.connections == 0, 60, "the connection is forgotten")


def test_a_stall_holds_open_and_new_connections_and_lets_go(between: Proxy, server: tuple[int, list[bytes]]) -> None:
    with connected(between) as early:
        assert echo(early, b"before") == b"before"
        between.set("stall")
        with connected(between) as late:
            early.sendall(b"early")
            late.sendall(b"late")
            assert silent(early)
            assert silent(late)
            assert server[1] == [b"before"]
            between.set("pass")
            assert received(early, 5) == b"early"
            assert received(late, 4) == b"late"


def test_half_open_loses_what_is_open_for_ever_and_passes_the_new(
    between: Proxy, server: tuple[int, list[bytes]]
) -> None:
    with connected(between) as lost, connected(between) as left:
        assert echo(lost, b"a") == b"a"
        assert echo(left, b"b") == b"b"
        between.set("half_open")
        lost.sendall(b"nobody hears this")
        left.close()
        with connected(between) as new:
            assert echo(new, b"c") == b"c"
        between.set("pass")
        between.set("reset")
        assert silent(lost)
        assert sorted(server[1]) == [b"a", b"b", b"c"]


def test_reset_ends_open_connections_and_every_new_one(between: Proxy) -> None:
    with connected(between) as early:
        assert echo(early, b"a") == b"a"
        between.set("reset")
        with pytest.raises(ConnectionResetError):
            early.recv(1)
        with pytest.raises(ConnectionResetError), connected(between) as late:
            late.recv(1)
    between.set("pass")
    with connected(between) as again:
        assert echo(again, b"b") == b"b"


def test_refuse_resets_open_connections_and_keeps_the_port(between: Proxy) -> None:
    with connected(between) as early:
        assert echo(early, b"a") == b"a"
        between.set("refuse")
        with pytest.raises(ConnectionResetError):
            early.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connected(between)
    with pytest.raises(OSError, match="in use"), socket.socket() as other:
        other.bind(("127.0.0.1", between.port))
    between.set("pass")
    with connected(between) as again:
        assert echo(again, b"b") == b"b"


def test_unavailable_answers_every_request_as_s3_does(between: Proxy, server: tuple[int, list[bytes]]) -> None:
    with connected(between) as early:
        assert echo(early, b"a") == b"a"
        between.set("unavailable")
        with pytest.raises(ConnectionResetError):
            early.recv(1)
    for method, body in (("GET", None), ("PUT", bytes(300_000)), ("HEAD", None)):
        request = urllib.request.Request(f"http://127.0.0.1:{between.port}/bucket/key", body, method=method)
        with pytest.raises(urllib.error.HTTPError) as refused, urllib.request.urlopen(request, timeout=60):
            pass
        with refused.value as answer:
            assert answer.code == 503
            assert answer.headers["connection"] == "close"
            assert (b"<Code>SlowDown</Code>" in answer.read()) == (method != "HEAD")
    assert server[1] == [b"a"]


def test_cut_after_resets_in_the_middle(between: Proxy, server: tuple[int, list[bytes]]) -> None:
    with connected(between) as early, connected(between) as late:
        assert echo(early, b"0123456789") == b"0123456789"
        between.cut_after(15)
        assert echo(early, b"0123456789") == b"0123456789"
        early.sendall(b"abcdefghij")
        with pytest.raises(ConnectionResetError):
            early.recv(1)
        assert between.cuts == 1
        assert (b"0123456789" * 2 + b"abcde").startswith(server[1][0]), "nothing that came after the cut"
        assert echo(late, b"0123456789" * 2) == b"0123456789" * 2


def test_cut_after_can_count_all_connections_together(between: Proxy) -> None:
    between.cut_after(15, times=2, together=True)
    with connected(between) as first:
        assert echo(first, b"0123456789") == b"0123456789"
    for _ in range(2):
        with connected(between) as cut, pytest.raises(ConnectionResetError):
            echo(cut, b"0123456789")
    assert between.cuts == 2
    with connected(between) as after:
        assert echo(after, b"0123456789") == b"0123456789"


@pytest.mark.parametrize("mode", ["pass", "stall", "half_open", "unavailable", "refuse"])
def test_nothing_is_left_behind(mode: Mode, server: tuple[int, list[bytes]]) -> None:
    before = threading.active_count()
    with proxy(server[0]) as between:
        with connected(between) as connection, connected(between) as other:
            assert echo(connection, b"a") == b"a"
            assert echo(other, b"b") == b"b"
            between.set(mode)
            with suppress(OSError):
                connection.sendall(b"c")
        if mode != "refuse":
            connected(between).close()
        port = between.port
    wait_until(lambda: threading.active_count() <= before, 60, "its thread, and the server's, have ended")
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_target_that_is_down_is_a_reset() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        target = unused.getsockname()[1]
        with proxy(target) as between, pytest.raises(ConnectionResetError), connected(between) as connection:
            connection.recv(1)
