# SPDX-License-Identifier: BSD-3-Clause
"""What a plugin makes, and that nothing of it stays: raise, lower, clean by hand, one plugin at a time."""
import socket
import subprocess

from network import (OTHER_PORT, OURS_V4, PORT, V4, V6, at_target, connects, ruleset, same_rules,
                     wait_until)
from server import in_target, server

ADDRESSES = (V4, V6)


class Listeners:
    """Somebody who answers in the target's namespace, on the portals' port and on another."""

    PROGRAM = '''
import socket, sys, time
held = []
for port in sys.argv[1:]:
    for family, any in ((socket.AF_INET, '0.0.0.0'), (socket.AF_INET6, '::')):
        held.append(socket.socket(family))
        held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            held[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        held[-1].bind((any, int(port)))
        held[-1].listen(64)
print('up', flush=True)
time.sleep(3600)
'''

    def __enter__(self):
        self.process = subprocess.Popen(
            in_target('python3', '-c', self.PROGRAM, PORT, OTHER_PORT), stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b'up\n'
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def present_exactly_between(fence):
    before = ruleset()
    with server(fence) as one, Listeners():
        one.helper('clean')
        one.helper('clean')
        same_rules(before)
        for _ in range(2):              # raise() on a raised fence renews it
            one.helper('raise')
            raised = ruleset()
            assert one.instance in raised and raised != before
            for address in ADDRESSES:
                assert not connects(address)
        lines = before.splitlines()
        assert all(line in raised.splitlines() for line in lines), 'a foreign rule is gone'
        one.helper('lower')
        same_rules(before)
        for address in ADDRESSES:
            assert connects(address)
        one.helper('lower')
        same_rules(before)


def nobody_elses_port(fence):
    """Other ports, and connections of the target's machine to somebody else's portal."""
    listen = ('0.0.0.0:%d' % PORT, '[::]:%d' % PORT)
    for addresses in (None, listen):
        more = {'listen': addresses} if addresses else {}
        with server(fence, **more) as one, Listeners(), socket.create_server((OURS_V4, PORT)):
            one.helper('raise')
            for address in ADDRESSES:
                assert not connects(address)
                assert connects(address, OTHER_PORT)
            at_target('python3', '-c', 'import socket\nsocket.create_connection(("%s", %d), 10)'
                      % (OURS_V4, PORT))
            one.helper('lower')


def two_instances(fence):
    """Two daemons of one machine do not touch each other's rules."""
    before = ruleset()
    with server(fence) as one:
        one.helper('raise', instance='first')
        first = ruleset()
        one.helper('raise', instance='a-second-one-with-a-long-name')
        one.helper('clean', instance='a-third')
        one.helper('lower', instance='a-second-one-with-a-long-name')
        assert ruleset() == first
        one.helper('lower', instance='first')
    same_rules(before)


def ends_by_itself(fence):
    before = ruleset()
    with server(fence) as one, Listeners():
        one.helper('raise', age_ms=60000)
        assert not any(connects(address) for address in ADDRESSES)
        one.helper('raise', age_ms=2000)
        for address in ADDRESSES:
            wait_until('the fence ends', lambda where=address: connects(where))
        one.helper('clean')
        same_rules(before)


def clean_keeps_what_is_in_force(fence):
    before = ruleset()
    with server(fence) as one, Listeners():
        one.helper('raise', age_ms=60000)
        one.helper('clean', code=3)
        assert not any(connects(address) for address in ADDRESSES)
        one.helper('lower')
    same_rules(before)


# --- copies of the rules, as boot scripts make them

class Copy:
    """All rules of the namespace, saved and restored by the kind's own programs."""

    def __init__(self, kind):
        self.programs = [program + '-' + kind for program in ('iptables', 'ip6tables')
                         ] if kind != 'nftables' else []
        if self.programs:
            self.saved = [at_target(program + '-save') for program in self.programs]
        else:
            self.saved = [at_target('nft', 'list', 'table', 'inet', 'holdfast_%s' % name)
                          for name in self.tables()]

    @staticmethod
    def tables():
        return [line.split('holdfast_')[1] for line in
                at_target('nft', 'list', 'tables').splitlines() if 'holdfast_' in line]

    def restore(self, old='', new=''):
        assert self.saved and all(not old or old in text for text in self.saved)
        texts = [text.replace(old, new) if old else text for text in self.saved]
        for program, text in zip(self.programs or [None], texts):
            if program:
                at_target(program + '-restore', input=text)
            else:
                at_target('nft', '-f', '-', input=text)


def a_restored_copy_ends(fence, kind):
    before = ruleset()
    with server(fence) as one, Listeners():
        one.helper('raise', age_ms=2000)
        copy = Copy(kind)
        one.helper('lower')
        copy.restore()
        for address in ADDRESSES:
            wait_until('the copy ends', lambda where=address: connects(where))
        one.helper('clean')
    same_rules(before)


def a_copy_of_another_boot_goes(fence, kind):
    with open('/proc/sys/kernel/random/boot_id', encoding='ascii') as file:
        boot = file.read().strip()
    before = ruleset()
    with server(fence) as one, Listeners():
        one.helper('raise', age_ms=60000)
        copy = Copy(kind)
        one.helper('lower')
        copy.restore(old=boot, new='00000000-1111-2222-3333-444444444444')
        assert not any(connects(address) for address in ADDRESSES)
        one.helper('clean')
        same_rules(before)
        assert all(connects(address) for address in ADDRESSES)


def cases(fence, kind):
    """(a sentence, a function without arguments) of each case."""
    for sentence, function, arguments in (
            ('rules are there exactly between raise and lower, both families', present_exactly_between,
             (fence,)),
            ('other ports and other people\'s portals stay reachable', nobody_elses_port, (fence,)),
            ('instances do not touch each other', two_instances, (fence,)),
            ('it ends by itself', ends_by_itself, (fence,)),
            ('clean leaves what is in force', clean_keeps_what_is_in_force, (fence,)),
            ('a copy that is saved and restored ends, too', a_restored_copy_ends, (fence, kind)),
            ('what another boot left goes', a_copy_of_another_boot_goes, (fence, kind))):
        yield sentence, lambda run=function, with_=arguments: run(*with_)
