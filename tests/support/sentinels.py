"""A Redis that is replicated, and the Sentinels that watch it: real processes, with passwords, encrypted or not."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import redis

from tests.support.certificates import Certificate
from tests.support.processes import free_port, need_program, wait_until

NAME: Final = "readers"
"""By which the Sentinels know the servers."""
DATABASE: Final = 1
USER: Final = "ocr"
WATCHER: Final = "watcher"
"""Who may ask the Sentinels which server is the primary, and nothing else."""
SECRETS: Final = {
    "server": "secret@of/the:servers",
    "sentinel": "secret-of-sentinels",
    "watcher": "secret?of#the%watcher",
    "replica": "secret-of-replicas",
}
_QUOTED: Final = {name: quote(secret, safe="") for name, secret in SECRETS.items()}
_DOWN_AFTER_MS: Final = 3000
_SENTINELS: Final = 3


@dataclass
class Node:
    """A redis-server or a redis-sentinel."""

    program: str
    port: int
    folder: Path
    certificate: Certificate | None
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen([need_program(self.program), str(self.folder / "node.conf")])
        with self.client() as client:
            wait_until(lambda: _answers(client), 60, f"{self.program} answers")

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def client(self) -> redis.Redis:
        """As an operator."""
        who: dict[str, Any] = {"password": SECRETS["sentinel"]}
        if self.program == "redis-server":
            who = {"username": USER, "password": SECRETS["server"]}
        if self.certificate:
            who |= {"ssl": True, "ssl_ca_certs": str(self.certificate.authority)}
        return redis.Redis("127.0.0.1", self.port, decode_responses=True, **who)


@dataclass
class Replicated:
    """Servers of which one is the primary, and Sentinels."""

    servers: list[Node]
    sentinels: list[Node]
    certificate: Certificate | None

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels)
        options = f"?sentinel_username={WATCHER}&sentinel_password={_QUOTED['watcher']}"
        if self.certificate:
            options += f"&ssl_ca_certs={self.certificate.authority}"
        scheme = "sentinels" if self.certificate else "sentinel"
        return f"{scheme}://{USER}:{_QUOTED['server']}@{hosts}/{NAME}/{DATABASE}{options}"

    def primary(self) -> Node:
        """As the Sentinels say."""
        with self.sentinels[0].client() as client:
            port = int(client.sentinel_get_master_addr_by_name(NAME)[1])
        return next(each for each in self.servers if each.port == port)

    def replica(self) -> Node:
        return next(each for each in self.servers if each is not self.primary())

    def wait_for_replicas(self) -> None:
        """Every server that is up has what the primary has, and every Sentinel knows of it."""
        primary, up = self.primary(), [each for each in self.servers if each.process is not None]
        with primary.client() as client:
            wait_until(lambda: _online_replicas(client) == len(up) - 1, 90, "replicas are in step")
        for each in self.sentinels:
            with each.client() as client:
                wait_until(lambda: _sees(client, primary, len(up) - 1), 90, "a Sentinel knows all")

    def wait_for_failover(self, before: Node) -> None:
        for each in self.sentinels:
            with each.client() as client:
                wait_until(lambda: _primary_port(client) != before.port, 90, "a Sentinel names another primary")

    def kill_primary(self) -> Node:
        """Returns it. The Sentinels find that it is gone, and promote the replica."""
        primary = self.primary()
        primary.kill()
        return primary

    def ask_for_failover(self) -> Node:
        """As an operator does, who wants to work at the primary. Returns the one of before."""
        before = self.primary()
        with self.sentinels[0].client() as client:
            client.execute_command("SENTINEL", "FAILOVER", NAME)
        return before

    def freeze_primary(self) -> Node:
        """Returns it, when it has woken up: it still takes itself for the primary, until a Sentinel tells it."""
        primary = self.primary()
        primary.send(signal.SIGSTOP)
        self.wait_for_failover(primary)
        primary.send(signal.SIGCONT)
        return primary

    def cut_replication(self) -> None:
        """The primary sends nothing to replicas any more."""
        with self.primary().client() as client:
            client.acl_setuser("replica", enabled=False)
            client.client_kill_filter(_type="replica")
            wait_until(lambda: _online_replicas(client) == 0, 60, "no replica is connected")

    def mend_replication(self) -> None:
        """Whichever server is the primary."""
        for each in self.servers:
            if each.process is not None:
                with each.client() as client:
                    client.acl_setuser("replica", enabled=True)


@contextmanager
def replicated_redis(folder: Path, certificate: Certificate | None = None) -> Iterator[Replicated]:
    """A primary with a replica, and three Sentinels that agree on them."""
    first, second = (_server(folder, f"server-{number}", certificate) for number in (1, 2))
    with (second.folder / "node.conf").open("a") as file:
        file.write(f"replicaof 127.0.0.1 {first.port}\n")
    sentinels = [_sentinel(folder, f"sentinel-{number}", first.port, certificate) for number in range(_SENTINELS)]
    made = Replicated([first, second], sentinels, certificate)
    try:
        for each in (*made.servers, *made.sentinels):
            each.start()
        made.wait_for_replicas()
        yield made
    finally:
        for each in (*made.sentinels, *made.servers):
            each.kill()


def _server(folder: Path, name: str, certificate: Certificate | None) -> Node:
    return _node(
        folder / name,
        "redis-server",
        certificate,
        f"""
        user default off
        user {USER} on >{SECRETS["server"]} ~* &* +@all
        user replica on >{SECRETS["replica"]} +psync +replconf +ping
        masteruser replica
        masterauth {SECRETS["replica"]}
        repl-diskless-sync-delay 0
        appendonly yes
        save ""
        """,
    )


def _sentinel(folder: Path, name: str, primary: int, certificate: Certificate | None) -> Node:
    return _node(
        folder / name,
        "redis-sentinel",
        certificate,
        f"""
        requirepass "{SECRETS["sentinel"]}"
        user {WATCHER} on >{SECRETS["watcher"]} -@all +sentinel|masters
        sentinel sentinel-pass "{SECRETS["sentinel"]}"
        sentinel monitor {NAME} 127.0.0.1 {primary} 2
        sentinel auth-user {NAME} {USER}
        sentinel auth-pass {NAME} "{SECRETS["server"]}"
        sentinel down-after-milliseconds {NAME} {_DOWN_AFTER_MS}
        sentinel failover-timeout {NAME} 10000
        """,
    )


def _node(folder: Path, program: str, certificate: Certificate | None, more: str) -> Node:
    folder.mkdir()
    port = free_port()
    listening = f"port {port}"
    if certificate:
        listening = f"""
        port 0
        tls-port {port}
        tls-replication yes
        tls-auth-clients no
        tls-ca-cert-file {certificate.authority}
        tls-cert-file {certificate.certificate}
        tls-key-file {certificate.key}
        """
    lines = f"{listening}\nbind 127.0.0.1\ndir {folder}\nlogfile {folder}/log\n{more}".splitlines()
    (folder / "node.conf").write_text("".join(f"{line.strip()}\n" for line in lines))
    return Node(program, port, folder, certificate)


def _answers(client: redis.Redis) -> bool:
    with suppress(redis.ConnectionError):
        return bool(client.ping())
    return False


def _online_replicas(client: redis.Redis) -> int:
    found = client.info("replication")
    return sum(1 for name, each in found.items() if name.startswith("slave") and each["state"] == "online")


def _primary_port(sentinel: redis.Redis) -> int:
    return int(sentinel.sentinel_get_master_addr_by_name(NAME)[1])


def _sees(sentinel: redis.Redis, primary: Node, replicas: int) -> bool:
    """Whether the Sentinel could promote one of the replicas now, with the others' agreement."""
    known = sentinel.sentinel_slaves(NAME)
    up = [each for each in known if each["flags"] == "slave" and each["master-link-status"] == "ok"]
    return (
        _primary_port(sentinel) == primary.port
        and len(up) == replicas
        and len(sentinel.sentinel_sentinels(NAME)) == _SENTINELS - 1
    )
