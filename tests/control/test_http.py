#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Metrics over HTTP: what a scraper gets, and that nobody who abuses the port disturbs others."""
import contextlib
import http.client
import socket
import time

from client import LIMIT, kill_worker, look, run
import openmetrics
from openmetrics import value
from daemon import free_port
from peer import IQN, case, main, ram, serve


_ports = contextlib.ExitStack()         # held until this program ends
PORT = _ports.enter_context(free_port())
HERE = {'daemon': {'metrics-listen': '127.0.0.1:%d' % PORT}, 'targets': {IQN: {'luns': {0: ram()}}}}


def get(path='/metrics', method='GET', body=None):
    connection = http.client.HTTPConnection('127.0.0.1', PORT, timeout=LIMIT)
    with contextlib.closing(connection):
        connection.request(method, path, body=body)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()


def get_patiently():
    """A worker that begins listens a moment after it serves its initiators."""
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            return get()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@case('a scraper gets what the control socket says', own=HERE)
def _(target):
    target.login().alive()
    status, headers, text = get_patiently()
    assert status == 200
    assert headers['Content-Type'] == 'application/openmetrics-text; version=1.0.0; charset=utf-8'
    families = openmetrics.parse(text)
    assert set(families) == set(openmetrics.parse(run(target.daemon, 'metrics')))
    assert value(families, 'holdfast_sessions', type='normal') == 1
    status, headers, text = get(method='HEAD')
    assert status == 200 and text == ''


@case('everything but GET /metrics is refused', own=HERE)
def _(target):
    get_patiently()
    for path in ('/', '/metrics/', '/metric', '/%6d', '//metrics', '/../metrics', '/' + 'x' * 1000):
        assert get(path)[0] == 404, path
    for method in ('POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'BREW'):
        assert get(method=method)[0] in (400, 405), method
    assert get(method='POST', body='x' * 100)[0] == 405
    assert get('/' + 'x' * 100000)[0] in (414, 431)


@case('what is not HTTP ends its own connection and nothing else', own=HERE)
def _(target):
    get_patiently()
    session = target.login()
    for words in (b'\0' * 4000, b'GET\r\n\r\n', b'\x16\x03\x01' + b'a' * 200, b'GET /metrics HTTP/9.9\r\n\r\n',
                  b'GET /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n',
                  b'GET /metrics HTTP/1.1\r\n' + b'a: b\r\n' * 5000):
        with socket.create_connection(('127.0.0.1', PORT), LIMIT) as s, contextlib.suppress(OSError):
            s.sendall(words)
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
    session.alive()
    assert get()[0] == 200


@case('a flood of connections, silent ones or requests without a reader, leaves initiators and administrators alone',
      own=HERE)
def _(target):
    get_patiently()
    session = target.login()
    with contextlib.ExitStack() as open_ones:
        for i in range(150):
            s = socket.socket()
            s.setblocking(False)
            open_ones.callback(s.close)
            with contextlib.suppress(BlockingIOError):
                s.connect(('127.0.0.1', PORT))
            with contextlib.suppress(OSError):
                if i % 2:
                    s.send(b'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n')
        for _ in range(20):
            session.alive()
        assert look(target.daemon, 'status')['sessions'] == 1
        assert get_patiently()[0] == 200     # the silent ones are given up in time
    assert get_patiently()[0] == 200


@case('after a death the next worker has the port', own=HERE)
def _(target):
    get_patiently()
    for _ in range(2):
        kill_worker(target.daemon)
        deadline = time.monotonic() + LIMIT
        deaths = look(target.daemon, 'status')['keeper']['worker-deaths']
        families = openmetrics.parse(get_patiently()[2])
        assert value(families, 'holdfast_worker_deaths', '_total') == deaths
        assert time.monotonic() < deadline


@case('a port that others have is complained of once, and taken when it is free', alone=True)
def _():
    with free_port() as port, contextlib.ExitStack() as others:
        other = others.enter_context(socket.socket())
        other.bind(('127.0.0.1', port))
        other.listen()
        with serve(daemon={'metrics-listen': '127.0.0.1:%d' % port}) as daemon:
            complaint = 'no metrics at 127.0.0.1:%d' % port
            daemon.wait_log(complaint)
            time.sleep(2.5)         # it tries again meanwhile
            others.close()
            daemon.wait_log('metrics at http://127.0.0.1:%d/metrics' % port)
            assert daemon.log().count(complaint) == 1, daemon.log()


if __name__ == '__main__':
    main(__file__)
