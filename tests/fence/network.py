# SPDX-License-Identifier: BSD-3-Clause
"""Two network namespaces of the test's own, with a wire between them: the target lives in one, this
program in the other. Rules are only ever made in the target's; the machine's own are never touched."""
import contextlib
import difflib
import os
import pathlib
import re
import socket
import subprocess
import struct
import time

LIMIT = 60.0        # seconds for what has to happen; nothing here measures speed
V4, V6 = '10.99.0.1', 'fd00:99::1'
OURS_V4, OURS_V6 = '10.99.0.2', 'fd00:99::2'
PORT, OTHER_PORT = 3260, 3299
TARGET = os.environ.get('HOLDFAST_FENCE_TARGET', '')    # the namespace's name, inside
FIN, SYN, RST = 1, 2, 4


def call(*words, **more):
    """Runs a program that must succeed; returns what it prints."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                          timeout=LIMIT, check=False, **more)
    if done.returncode:
        raise AssertionError('%s: exit code %d\n%s%s' % (
            ' '.join(map(str, words)), done.returncode, done.stdout, done.stderr))
    return done.stdout


def at_target(*words, **more):
    return call('ip', 'netns', 'exec', TARGET, *words, **more)


def wait_until(what, condition):
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.05)
    raise AssertionError('never happened: ' + what)


# --- set-up, from outside

def why_not():
    """A reason why this cannot be tested here, or None."""
    if os.geteuid() != 0:
        return 'needs root, to make network namespaces'
    path = {**os.environ, 'PATH': os.environ.get('PATH', '') + ':/usr/sbin:/sbin'}
    for words in (('ip', '-V'), ('nft', '-v'), ('tcpdump', '--version'),
                  ('iptables-nft', '-V'), ('iptables-legacy', '-V')):
        try:
            done = subprocess.run(words, capture_output=True, env=path, check=False)
        except OSError:
            return '%s is not installed' % words[0]
        if done.returncode:
            return '%s does not work' % ' '.join(words)
    name = 'hf-fence-probe-%d' % os.getpid()
    if subprocess.run(['ip', 'netns', 'add', name], capture_output=True, check=False).returncode:
        return 'no network namespace can be made'
    subprocess.run(['ip', 'netns', 'del', name], capture_output=True, check=False)
    return None


def remove(name):
    if name not in subprocess.run(['ip', 'netns', 'list'], capture_output=True, text=True,
                                  check=False).stdout.split():
        return
    for pid in call('ip', 'netns', 'pids', name).split():
        with contextlib.suppress(OSError):
            os.kill(int(pid), 9)
    subprocess.run(['ip', 'netns', 'del', name], capture_output=True, check=False)


@contextlib.contextmanager
def namespaces(group):
    """The names of the target's and the client's."""
    target, client = ('hf-fence-%d-%s-%s' % (os.getpid(), group, kind) for kind in ('t', 'c'))
    try:
        for name in (target, client):
            call('ip', 'netns', 'add', name)
            call('ip', '-n', name, 'link', 'set', 'lo', 'up')
        call('ip', '-n', target, 'link', 'add', 'wire', 'type', 'veth', 'peer', 'name', 'wire',
             'netns', client)
        for name, addresses in ((target, (V4 + '/24', V6 + '/64')),
                                (client, (OURS_V4 + '/24', OURS_V6 + '/64'))):
            for address in addresses:
                more = ('nodad',) if ':' in address else ()
                call('ip', '-n', name, 'addr', 'add', address, 'dev', 'wire', *more)
            call('ip', '-n', name, 'link', 'set', 'wire', 'up')
        yield target, client
    finally:
        remove(target)
        remove(client)


# --- connections

def connects(address, port=PORT, timeout=0.5):
    """True, False when nothing answers; a refusal is an error."""
    try:
        socket.create_connection((address, port), timeout=timeout).close()
    except TimeoutError:
        return False
    return True


# --- the rules as they are

def without_numbers(text):
    """Dates and counters do not make another ruleset."""
    lines = [line for line in text.splitlines() if not line.startswith('#')]
    return re.sub(r'\[\d+:\d+\]', '', '\n'.join(lines))


def ruleset():
    """All rules of the target's namespace, of nftables and of both kinds of iptables."""
    listing = at_target('nft', '-s', 'list', 'ruleset')
    for program in ('iptables-legacy-save', 'ip6tables-legacy-save'):
        listing += '\n== %s\n%s' % (program, at_target(program))
    return without_numbers(listing)


def same_rules(before):
    """The ruleset is what it was."""
    after = ruleset()
    assert after == before, '\n'.join(difflib.unified_diff(
        before.splitlines(), after.splitlines(), 'before', 'after', lineterm=''))


def add_foreign_rules():
    """What an administrator may have, in every kind of firewall."""
    at_target('nft', '-f', '-', input='''
        table inet admin {
            set friends { type ipv4_addr . inet_service; elements = { 10.99.0.2 . 3260 }; }
            chain input {
                type filter hook input priority 0; policy accept;
                ip saddr . tcp dport @friends counter accept
                tcp dport 3260 counter accept comment "holdfast"
            }
        }''')
    for kind in ('nft', 'legacy'):
        for program in ('iptables-' + kind, 'ip6tables-' + kind):
            at_target(program, '-N', 'admin')
            at_target(program, '-A', 'admin', '-p', 'tcp', '--dport', PORT, '-m', 'comment',
                      '--comment', 'holdfast: "quoted" words', '-j', 'RETURN')
            at_target(program, '-A', 'INPUT', '-p', 'tcp', '--dport', PORT, '-j', 'admin')
            at_target(program, '-A', 'OUTPUT', '-p', 'tcp', '--sport', PORT, '-j', 'admin')
            # restoring puts chains into an order of its own: once now, so that later ones change nothing
            at_target(program + '-restore', input=at_target(program + '-save'))


# --- what is on the wire

class Packet:
    def __init__(self, when, source, source_port, port, flags):
        self.when, self.source, self.source_port, self.port, self.flags = (
            when, source, source_port, port, flags)

    def __repr__(self):
        return '%.3f %s:%d > %d flags %#x' % (self.when, self.source, self.source_port, self.port,
                                              self.flags)


def tcp_of(frame):
    """(source address, the TCP header) of an Ethernet frame, or None."""
    kind, = struct.unpack_from('>H', frame, 12)
    if kind == 0x0800 and frame[14 + 9] == 6:
        start = 14 + (frame[14] & 15) * 4
        return socket.inet_ntop(socket.AF_INET, frame[26:30]), frame[start:]
    if kind == 0x86dd and frame[14 + 6] == 6:
        return socket.inet_ntop(socket.AF_INET6, frame[22:38]), frame[54:]
    return None


def packets_of(data):
    """Packets of a pcap file; a last one that is not complete yet is left out."""
    found, at = [], 24
    if len(data) < 24:
        return found
    nanoseconds = struct.unpack_from('<I', data)[0] == 0xa1b23c4d
    while at + 16 <= len(data):
        seconds, fraction, captured, _ = struct.unpack_from('<IIII', data, at)
        frame = data[at + 16:at + 16 + captured]
        if len(frame) < captured:
            break
        at += 16 + captured
        tcp = tcp_of(frame)
        if tcp:
            ports = struct.unpack_from('>HH', tcp[1])
            when = seconds + fraction / (1e9 if nanoseconds else 1e6)
            found.append(Packet(when, tcp[0], ports[0], ports[1], tcp[1][13]))
    return found


class Capture:
    """tcpdump on our end of the wire."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder) / 'capture.pcap'
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(
            ['tcpdump', '-i', 'wire', '-Z', 'root', '--immediate-mode', '-U', '-w', str(self.path),
             'tcp port %d' % PORT], stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if 'listening on' in line:
                return self
        raise AssertionError('tcpdump does not start')

    def packets(self):
        return packets_of(self.path.read_bytes())

    def up_to(self, port):
        """All packets, when those of a connection from this port of ours are among them."""
        wait_until('the capture holds the last connection', lambda: any(
            packet.source_port == port for packet in self.packets()))
        return self.packets()

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stderr.close()
        self.path.unlink(missing_ok=True)
