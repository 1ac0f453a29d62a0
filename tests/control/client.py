# SPDX-License-Identifier: BSD-3-Clause
"""Both ways to the control socket: holdfastctl as a user runs it, and JSON-RPC by hand."""
import contextlib
import itertools
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'dialogue'))
from daemon import Settings  # noqa: E402

DONE, REFUSED, USAGE, NO_DAEMON, CHANGES = range(5)
PARSE, REQUEST, METHOD, PARAMS = -32700, -32600, -32601, -32602
REFUSAL, NOT_PERMITTED = -32000, -32002
LIMIT = 60.0


def program():
    """The holdfastctl of the same build as the daemon."""
    return str(pathlib.Path(Settings.daemon).parent / 'ctl' / 'holdfastctl')


def path_of(daemon):
    return str(daemon.folder / 'control.sock')


def start(daemon, *words, **more):
    for name, default in (('stdin', subprocess.DEVNULL), ('stdout', subprocess.PIPE), ('stderr', subprocess.PIPE)):
        more.setdefault(name, default)
    return subprocess.Popen([program(), '--socket', path_of(daemon), *map(str, words)], text=True, **more)


def run(daemon, *words, expect=DONE, **more):
    """Runs holdfastctl; returns what it wrote to standard output, or to standard error if it failed."""
    with start(daemon, *words, **more) as process:
        out, err = process.communicate(timeout=LIMIT)
    code = process.returncode
    assert code == expect, 'holdfastctl %s: exit code %d, expected %d\n%s%s' % (
        ' '.join(map(str, words)), code, expect, out, err)
    if expect in (DONE, CHANGES):
        assert err == '', err
        return out
    assert out == '', out
    assert err.startswith('holdfastctl: '), err
    return err


def look(daemon, *words):
    """The result of a verb, by --json."""
    return json.loads(run(daemon, '--json', *words))


def kill_worker(daemon):
    daemon.killed_workers = True
    old = daemon.wait_for_worker()
    os.kill(old, signal.SIGKILL)
    return daemon.wait_for_worker(not_among=(old,))


class RpcError(Exception):
    def __init__(self, error):
        super().__init__('%(code)d %(message)s' % error)
        self.code, self.message = error['code'], error['message']


class Rpc:
    """A connection to the control socket."""
    _ids = itertools.count(1)

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)   # waits while there is no room for it
        self.socket.settimeout(LIMIT)
        self.received = b''

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        """The next line, b'' at the end of the connection."""
        while b'\n' not in self.received:
            data = self.socket.recv(1 << 16)
            if not data:
                assert not self.received, 'ended in the middle of a line: %r' % self.received[-200:]
                return b''
            self.received += data
        line, self.received = self.received.split(b'\n', 1)
        return line

    def answer(self):
        line = self.line()
        assert line, 'closed without an answer'
        answer = json.loads(line)
        assert answer['jsonrpc'] == '2.0' and 'id' in answer, answer
        assert ('result' in answer) != ('error' in answer), answer
        return answer

    def ask(self, method, params=None, **envelope):
        message = {'jsonrpc': '2.0', 'id': next(self._ids), 'method': method}
        if params is not None:
            message['params'] = params
        message.update(envelope)
        self.send(json.dumps(message).encode() + b'\n')
        return message['id']

    def call(self, method, params=None, **envelope):
        identity = self.ask(method, params, **envelope)
        answer = self.answer()
        assert answer['id'] == identity, answer
        if 'error' in answer:
            raise RpcError(answer['error'])
        return answer['result']

    def fails(self, code, method, params=None, **envelope):
        """The call must fail with this code; returns the sentence for people."""
        try:
            result = self.call(method, params, **envelope)
        except RpcError as error:
            assert error.code == code, 'failed with %s, expected %d' % (error, code)
            return error.message
        raise AssertionError('did not fail: %r' % (result,))

    def expect_closed(self):
        """The daemon closes the connection; bytes before that are returned."""
        rest = b''
        with contextlib.suppress(ConnectionResetError):
            while True:
                data = self.socket.recv(1 << 16)
                if not data:
                    break
                rest += data
        return rest


@contextlib.contextmanager
def connected(daemon):
    rpc = Rpc(path_of(daemon))
    try:
        yield rpc
    finally:
        rpc.close()


def as_user(uid, gid, groups=()):
    """For Popen: run as somebody else."""
    return {'user': uid, 'group': gid, 'extra_groups': list(groups)}


def is_root():
    return os.geteuid() == 0
