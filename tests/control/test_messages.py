#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""JSON-RPC on the control socket: the rules of the protocol, and clients that keep none."""
import contextlib
import json
import os
import pathlib
import random
import re
import socket
import threading
import time

import client
from client import (METHOD, PARAMS, PARSE, REFUSAL, REQUEST, Rpc, connected, path_of, run)
from peer import IQN, case, main

MESSAGE_MAX = 64 << 10


def fields(message):
    return {'jsonrpc': '2.0', 'id': 1, 'method': 'status', **message}


# --- the protocol

@case('the man page has every method, and no other', own={'start': False})
def _(_):
    top = pathlib.Path(__file__).resolve().parents[2]
    table = (top / 'core/control/verbs.c').read_text(encoding='utf-8')
    known = set(re.findall(r'^    \{ "([a-z.]+)",', table[table.index('verbs[] ='):], re.MULTILINE))
    page = (top / 'conf/man/holdfast-control.7').read_text(encoding='utf-8')
    page = page[page.index('.Sh METHODS'):page.index('.Sh ERROR CODES')]
    told = set()
    for words in re.findall(r'^\.It Cm ([^\n]*)', page, re.MULTILINE):
        told |= set(re.findall(r'[a-z][a-z.]+', words.split(' Pq ')[0]))
    missing = known - told
    assert len(known) > 10 and not missing and not told - known, (missing, told - known)


@case('an answer repeats the id, whatever form it has')
def _(target):
    with connected(target.daemon) as rpc:
        for identity in (0, -5, 2 ** 53, 'a', 'ä "quoted" \\ \n', '', None):
            assert rpc.call('log.level', id=identity) == {'level': 'info'}


@case('requests may be sent without waiting, and are answered in order')
def _(target):
    with connected(target.daemon) as rpc:
        ids = [rpc.ask(method) for method in ['status', 'log.level', 'luns', 'metrics'] * 20]
        assert [rpc.answer()['id'] for _ in ids] == ids


@case('a notification is done and not answered')
def _(target):
    with connected(target.daemon) as rpc:
        rpc.send(b'{"jsonrpc":"2.0","method":"log.level","params":{"level":"notice"}}\n')
        rpc.send(b'{"jsonrpc":"2.0","method":"no.such.method"}\n')
        rpc.send(b'{"jsonrpc":"2.0","method":"luns","params":{"target":"x"}}\n')
        assert rpc.call('log.level') == {'level': 'notice'}
        rpc.call('log.level', {'level': 'info'})


@case('blank lines, carriage returns and slices of any length do not matter')
def _(target):
    text = b'\n \r\n' + json.dumps(fields({})).encode() + b'\r\n\n' + json.dumps(fields({'id': 2})).encode() + b'\n'
    for size in (1, 7, 64):
        with connected(target.daemon) as rpc:
            for at in range(0, len(text), size):
                rpc.send(text[at:at + size])
            assert [rpc.answer()['id'], rpc.answer()['id']] == [1, 2]


@case('a client that shuts down its side still gets its answer')
def _(target):
    with connected(target.daemon) as rpc:
        rpc.ask('metrics')
        rpc.socket.shutdown(socket.SHUT_WR)
        assert 'text' in rpc.answer()['result']
        assert rpc.expect_closed() == b''


@case('an unknown method is named, with the one that was meant')
def _(target):
    with connected(target.daemon) as rpc:
        assert "'lun.rezise' (did you mean 'lun.resize'?)" in rpc.fails(METHOD, 'lun.rezise')
        rpc.fails(METHOD, '')
        assert len(rpc.fails(METHOD, 'x' * 5000)) < 200


@case('parameters are checked by name and type, and the wrong one is named')
def _(target):
    with connected(target.daemon) as rpc:
        for method, params, word in (
                ('sessions', {'targt': IQN}, "'targt'"),
                ('sessions', {'target': 7}, 'target must be a string'),
                ('sessions', {'target': None}, 'target must be a string'),
                ('sessions', {'target': 'disk'}, "'disk'"),
                ('status', {'x': 1}, "'x'"),
                ('session.drop', None, "'id'"),
                ('session.drop', {}, "'id'"),
                ('session.drop', {'id': '1'}, 'id must be a number'),
                ('session.drop', {'id': -1}, 'id must be a number'),
                ('session.drop', {'id': 1.5}, 'id must be a number'),
                ('session.drop', {'id': True}, 'id must be a number'),
                ('session.drop', {'id': [1]}, 'id must be a number'),
                ('lun.resize', {'target': IQN, 'lun': 0}, "'size'"),
                ('lun.resize', {'target': IQN, 'lun': 0, 'size': 'big'}, "'big'"),
                ('lun.resize', {'target': IQN, 'lun': 0, 'size': {}}, 'size must be a size'),
                ('lun.resize', {'target': IQN, 'lun': 0, 'size': '9' * 30}, 'too large'),
                ('log.level', {'level': 'loud'}, "'loud'"),
                ('log.level', ['info'], 'by name')):
            message = rpc.fails(PARAMS, method, params)
            assert word in message, (method, params, message)
        rpc.fails(REFUSAL, 'session.drop', {'id': 2 ** 62})


@case('an envelope that is not JSON-RPC 2.0 is refused')
def _(target):
    with connected(target.daemon) as rpc:
        for message in ({'jsonrpc': '1.0'}, {'jsonrpc': 2.0}, {'jsonrpc': None}, {'method': 5},
                        {'method': None}, {'id': {}}, {'id': [1]}, {'id': True}, {'id': 'x' * 1000}):
            rpc.send(json.dumps(fields(message)).encode() + b'\n')
            assert rpc.answer()['error']['code'] == REQUEST, message
        rpc.send(b'[' + json.dumps(fields({})).encode() + b']\n')
        assert 'batch' in rpc.answer()['error']['message']
        rpc.call('status')


GARBAGE = (b'hello', b'{', b'}', b'{}{}', b'null', b'"status"', b'42', b'{"jsonrpc":"2.0",}', b'{1:2}',
           b'GET /metrics HTTP/1.1', b'\x00', b'\xff\xfe', b'{"a":"\xc3"}', b'[' * 60000,
           b'{"a":' * 10000 + b'1' + b'}' * 10000, b'{"a":"' + b'\\"' * 20000, b'var x = {"a":1}',
           b'{"jsonrpc":"2.0","id":1,"method":"status"} trailing')


@case('what is no message gets an error, and the connection goes on')
def _(target):
    for garbage in GARBAGE:
        with connected(target.daemon) as rpc:
            rpc.send(garbage + b'\n')
            answer = rpc.answer()
            assert answer['id'] is None and answer['error']['code'] == PARSE, (garbage[:50], answer)
            rpc.call('log.level')


@case('a client that sends nothing but garbage is closed')
def _(target):
    with connected(target.daemon) as rpc:
        rpc.send(b'garbage\n' * 1000)
        assert rpc.expect_closed().count(b'-32700') < 32


# --- hostile clients

@case('a message of exactly the limit is taken, a longer one ends the connection')
def _(target):
    with connected(target.daemon) as rpc:
        text = json.dumps(fields({})).encode()
        rpc.send(text + b' ' * (MESSAGE_MAX - len(text) - 1) + b'\n')
        assert 'result' in rpc.answer()
    for chunk in (1 << 10, 1 << 20):
        with connected(target.daemon) as rpc:
            try:
                for _ in range((8 << 20) // chunk):
                    rpc.send(b'x' * chunk)
            except (BrokenPipeError, ConnectionResetError):
                pass
            assert b'too long' in rpc.expect_closed()
    run(target.daemon, 'status')


@case('half messages hold up nobody')
def _(target):
    halves = [Rpc(path_of(target.daemon)) for _ in range(20)]
    for rpc in halves:
        rpc.send(b'{"jsonrpc":"2.0","id":1,')
    run(target.daemon, 'status')
    for rpc in halves:
        rpc.send(b'"method":"log.level"}\n')
        assert rpc.answer()['result'] == {'level': 'info'}
        rpc.close()


@case('200 clients at once are all answered')
def _(target):
    clients = [Rpc(path_of(target.daemon)) for _ in range(200)]
    for number, rpc in enumerate(clients):
        rpc.ask(('status', 'luns', 'sessions', 'metrics', 'top')[number % 5], id=number)
    for number, rpc in enumerate(clients):
        answer = rpc.answer()
        assert answer['id'] == number and 'result' in answer
    for rpc in clients:
        rpc.close()


@case('clients that do nothing give way to those that ask')
def _(target):
    idle = [Rpc(path_of(target.daemon)) for _ in range(600)]
    run(target.daemon, 'status')
    for rpc in idle:
        rpc.close()
    run(target.daemon, 'status')


def flood(path, stop, counts, at):
    """Asks as much as fits, and reads what comes."""
    line = json.dumps(fields({'method': 'metrics'})).encode() + b'\n'
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        sock.settimeout(0.1)
        while not stop.is_set():
            try:
                sock.send(line * 10)
                counts[at] += len(sock.recv(1 << 20))
            except TimeoutError:
                pass


@case('floods do not keep others from being answered, nor initiators from logging in')
def _(target):
    stop, counts = threading.Event(), [0] * 8
    threads = [threading.Thread(target=flood, args=(path_of(target.daemon), stop, counts, n))
               for n in range(8)]
    for thread in threads:
        thread.start()
    try:
        session = target.login()
        for _ in range(5):
            run(target.daemon, 'sessions')
            session.read(0, 8)
            target.login().logout()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert all(counts), counts


@case('a client that never reads is not served for ever', own={})
def _(target):
    deaf = [Rpc(path_of(target.daemon)) for _ in range(10)]
    worker = target.daemon.wait_for_worker()
    line = json.dumps(fields({'method': 'metrics'})).encode() + b'\n'
    for rpc in deaf:
        rpc.socket.setblocking(False)
        for _ in range(2000):
            try:
                rpc.socket.send(line)
            except BlockingIOError:
                break
    for _ in range(10):
        run(target.daemon, 'metrics')
    with open('/proc/%d/statm' % worker, encoding='ascii') as statm:
        before = int(statm.read().split()[1])
    for _ in range(50):
        run(target.daemon, 'log')
    with open('/proc/%d/statm' % worker, encoding='ascii') as statm:
        assert int(statm.read().split()[1]) - before < 8192, 'memory grows'
    for rpc in deaf:
        rpc.close()


@case('connections that come and go without a word do no harm')
def _(target):
    for number in range(2000):
        rpc = Rpc(path_of(target.daemon))
        with contextlib.suppress(BrokenPipeError):  # it had to give way to the many after it
            if number % 3 == 0:
                rpc.ask('sessions')
            if number % 5 == 0:
                rpc.send(b'{"half')
        rpc.close()
    run(target.daemon, 'status')


@case('random bytes and mutated requests change nothing')
def _(target):
    source = random.Random(4711)
    seed = json.dumps(fields({'method': 'lun.resize',
                              'params': {'target': IQN, 'lun': 0, 'size': '64M'}})).encode()
    before = run(target.daemon, '--json', 'targets')
    for round_ in range(300):
        text = bytearray(seed) if round_ % 2 else bytearray(source.randbytes(source.randrange(1, 2000)))
        for _ in range(source.randrange(1, 8)):
            text[source.randrange(len(text))] = source.randrange(256)
        with connected(target.daemon) as rpc:
            rpc.send(bytes(text) + b'\n')
            rpc.socket.shutdown(socket.SHUT_WR)
            for line in rpc.expect_closed().splitlines():
                assert json.loads(line)['jsonrpc'] == '2.0'
    assert run(target.daemon, '--json', 'targets') == before


@case('no descriptor is left behind')
def _(target):
    worker = target.daemon.wait_for_worker()
    deadline = time.monotonic() + client.LIMIT
    while True:
        names = [os.readlink('/proc/%d/fd/%s' % (worker, fd)) for fd in os.listdir('/proc/%d/fd' % worker)]
        sockets = sum(name.startswith('socket:') for name in names)
        if sockets <= 4:    # the link, the control socket, and what may still be closing
            return
        assert time.monotonic() < deadline, names
        time.sleep(0.1)


if __name__ == '__main__':
    main(__file__)
