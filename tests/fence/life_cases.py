# SPDX-License-Identifier: BSD-3-Clause
"""When the daemon raises and lowers its fence, and what initiators see of it on the wire."""
import socket
import time

import session as dialogue
from network import (FIN, OURS_V4, PORT, RST, V4, V6, Capture, at_target, connects, ruleset,
                     same_rules, wait_until)
from server import IQN, server, stamp

ADDRESSES = (V4, V6)


def login(address):
    one = dialogue.Session((address, PORT), IQN)
    one.login()
    one.alive()
    return one


def port_of(one):
    return one.connection.socket.getsockname()[1]


def say(sessions):
    """Bytes that wait for an answer: what makes a closing socket send RST, and peers send again."""
    for one in sessions:
        one.connection.socket.setblocking(False)
        one.connection.socket.send(b'\0' * 48)      # a NOP-Out of an earlier CmdSN


def from_target(packets, flags=0, after=0.0, before=float('inf')):
    return [packet for packet in packets if packet.source in ADDRESSES and packet.source_port == PORT
            and after <= packet.when < before and (not flags or packet.flags & flags)]


def half_closed():
    """Sockets of the target that still have a FIN to send."""
    return at_target('ss', '-Htan', 'state', 'fin-wait-1', 'state', 'last-ack', 'state', 'closing')


def ends(one):
    """The peer of a connection that is no more finds out: it is told when it sends again."""
    try:
        return one.connection.socket.recv(1) == b''
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


# --- stop and start

def stop_and_start(fence, folder):
    before = ruleset()
    with server(fence) as one, Capture(folder) as capture:
        one.start()
        same_rules(before)
        sessions = [login(address) for address in ADDRESSES for _ in range(3)]
        say(sessions[:2])
        one.stop()
        assert one.instance in ruleset(), 'the fence is not up'
        assert not half_closed()
        say(sessions[2:])
        assert not any(connects(address) for address in ADDRESSES)
        raised = stamp(one.find('raised plugin')[0])
        marker = one.start()
        ready = stamp(one.wait_log(' ready generation=', marker))
        one.wait_log('fence: lowered', marker)
        assert one.find('found up and renewed', marker), one.log()
        same_rules(before)
        again = [login(address) for address in ADDRESSES]
        packets = capture.up_to(port_of(again[-1]))
        assert len(from_target(packets)) > 30, packets
        assert not from_target(packets, flags=FIN | RST, before=ready)
        assert not from_target(packets, after=raised, before=ready)
        for old in sessions[2:]:
            wait_until('the old connections end', lambda peer=old: ends(peer))
        for new in again:
            new.alive()
            new.close()
        one.stop()
        one.helper('lower')
    same_rules(before)


def stop_with(fence, folder, rule=()):
    """The same stop with something else in place of our fence; what went out while stopping."""
    with server(fence) as one, Capture(folder) as capture:
        one.start()
        for words in rule:
            at_target(*words)
        sessions = [login(address) for address in ADDRESSES for _ in range(3)]
        say(sessions)
        one.stop()
        say_more = [socket.socket() for _ in range(1)]
        say_more[0].settimeout(1)
        try:
            say_more[0].connect((V4, PORT))
        except OSError:
            pass
        packets = capture.up_to(say_more[0].getsockname()[1])
        leaked = from_target(packets, flags=FIN | RST)
    return leaked


def no_fence_speaks(folder):
    """The control: this capture does see a FIN or RST of a target that stops without a fence."""
    assert stop_with(None, folder)
    assert stop_with({'plugin': 'none'}, folder)


def the_old_rule_leaks(folder):
    """OUTPUT --dport: a rule for packets that a target never sends."""
    rule = [(program, '-I', 'OUTPUT', '1', '-p', 'tcp', '--dport', PORT, '-j', 'DROP')
            for program in ('iptables-nft', 'ip6tables-nft')]
    try:
        leaked = stop_with(None, folder, rule)
        assert {packet.source for packet in leaked} == set(ADDRESSES), leaked
        counted = [at_target(program, '-x', '-v', '-n', '-L', 'OUTPUT', '1').split()[0]
                   for program in ('iptables-nft', 'ip6tables-nft')]
        assert counted == ['0', '0'], counted
    finally:
        for program in ('iptables-nft', 'ip6tables-nft'):
            at_target(program, '-D', 'OUTPUT', '1')


def left_alone_it_ends(fence):
    """A target that does not come back: the fence of its stop ends by its age, and nothing is left
    that would still speak for it."""
    before = ruleset()
    with server(fence) as one:
        one.start()
        sessions = [login(address) for address in ADDRESSES]
        one.stop()
        assert not any(connects(address) for address in ADDRESSES)
        assert not half_closed()
        one.helper('raise', age_ms=2000)
        for address in ADDRESSES:
            wait_until('the fence ends', lambda where=address: refused(where))
        for one_session in sessions:
            one_session.close()
        one.helper('clean')
    same_rules(before)


def refused(address):
    try:
        return connects(address) and False
    except ConnectionRefusedError:
        return True


# --- by hand

def by_hand(fence):
    """holdfastctl fence: up when it has ended, down when it has ended, both twice; a new worker and the
    end of its age do not hurt."""
    before = ruleset()
    with server(fence) as one:
        one.start()
        shown = one.control('fence', 'show')
        assert shown['configured'] and not shown['up'] and shown['raised'] == 0, shown
        for _ in range(2):
            shown = one.control('fence', 'raise')
            assert shown['up'] and shown['reason'] == 'by hand' and shown['left-seconds'] > 0, shown
            assert one.instance in ruleset()
        assert not any(connects(address) for address in ADDRESSES)
        assert one.control('fence', 'show')['raised'] == 1
        for _ in range(2):
            shown = one.control('fence', 'lower')
            assert not shown['up'] and shown['lowered'] == 1, shown
            same_rules(before)
        for address in ADDRESSES:
            login(address).close()
        one.control('fence', 'raise')
        assert one.control('upgrade')['state'] == 'done'
        assert one.control('fence', 'show')['up'], 'another worker has lowered what a hand has raised'
        one.control('fence', 'lower')
        one.stop()
        one.helper('lower')
    same_rules(before)


# --- crashes

def crash_loop(fence):
    before = ruleset()
    with server(fence) as one:
        one.start()
        line = one.crash_loop()
        assert 'reason="crash loop"' in line, line
        position = one.log().index(line)
        one.wait_log('fence: lowered', position)
        same_rules(before)
        for address in ADDRESSES:
            login(address).close()
        one.stop()
        one.helper('lower')
    same_rules(before)


def everything_killed(fence):
    """kill -9 of keeper and worker with the fence up: the next start takes it over and lowers it; one
    whose age is over is taken away before that."""
    before = ruleset()
    with server(fence) as one:
        one.start()
        one.helper('raise')
        one.kill_everything()
        assert one.instance in ruleset()
        marker = one.start()
        one.wait_log('fence: lowered', marker)
        assert one.find('found up and renewed', marker)
        same_rules(before)
        one.helper('raise', age_ms=1000)
        one.kill_everything()
        wait_until('the fence ends', lambda: refused(V4))
        time.sleep(1)
        marker = one.start()
        wait_until('the stale rules are gone', lambda: ruleset() == before)
        assert not one.find('found up', marker) and not one.find('lowered', marker)
        one.stop()
        one.helper('lower')
    same_rules(before)


def cases(fence, folder):
    for sentence, function, arguments in (
            ('stop and start: not one FIN or RST on the wire, then logins', stop_and_start,
             (fence, folder)),
            ('a stop without a start: the fence ends by its age', left_alone_it_ends, (fence,)),
            ('by hand it goes up and down, and whoever did it knows when', by_hand, (fence,)),
            ('a crash loop raises it, a worker that is ready lowers it', crash_loop, (fence,)),
            ('nothing stays after kill -9 of everything', everything_killed, (fence,))):
        yield sentence, lambda run=function, with_=arguments: run(*with_)


def control_cases(folder):
    yield 'without a fence the capture sees FIN or RST', lambda: no_fence_speaks(folder)
    yield 'the rule of 2007, OUTPUT --dport, drops nothing and leaks', lambda: the_old_rule_leaks(
        folder)
