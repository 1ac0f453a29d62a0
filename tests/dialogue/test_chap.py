# SPDX-License-Identifier: BSD-3-Clause
"""CHAP, one way and mutual (RFC 7143 12.1.3, RFC 1994; algorithms 5 MD5, 6 SHA-1, 7 SHA-256, 8 SHA3-256)."""
import base64

from chap import (BOTH_WAYS, HASHES, MUTUAL_NAME, ONE_WAY, OURS, USERS, Attempt, hexadecimal, number,
                  refused)
from peer import IQN, Refused, case, main
from session import OPERATIONAL, SECURITY


@case('the right response is let in, with each algorithm', own=ONE_WAY)
def _(target):
    for algorithm in HASHES:
        attempt = Attempt(target, algorithm)
        assert attempt.algorithm == algorithm
        attempt.answer()
        attempt.enter()


@case('the first algorithm of the list that is known is chosen', own=ONE_WAY)
def _(target):
    for offered, chosen in (('5,6,7,8', '5'), ('8,7,6,5', '8'), ('99,7', '7'), ('56,6', '6')):
        assert Attempt(target, offered).algorithm == chosen, offered


@case('no known algorithm is refused with 0201', own=ONE_WAY)
def _(target):
    for offered in ('99', '56', '0'):
        refused(0x0201, Attempt, target, offered)


@case('a wrong secret is refused with 0201', own=ONE_WAY)
def _(target):
    attempt = Attempt(target)
    refused(0x0201, attempt.answer, secret='a secret of sixteem')
    attempt.connection.expect_closed()


@case('an unknown user is refused with 0201', own=ONE_WAY)
def _(target):
    refused(0x0201, Attempt(target).answer, 'nobody', secret='a secret of sixteen')


@case('a user with the secret of another is refused with 0201', own=ONE_WAY)
def _(target):
    refused(0x0201, Attempt(target).answer, 'host1', secret=USERS['0xabcd'])


@case('a response of the wrong length is refused', own=ONE_WAY)
def _(target):
    for coded in (lambda r: hexadecimal(r[:-1]), lambda r: hexadecimal(r + b'\0'), lambda r: '0x',
                  lambda r: 'xyz', lambda r: hexadecimal(r * 200),
                  lambda r: '0b' + base64.b64encode(b'oversize\n' + r).decode(),
                  lambda r: '0b' + base64.b64encode(r[:-1]).decode()):
        attempt = Attempt(target)
        try:
            attempt.answer(coded=coded)
        except Refused as refusal:
            assert refusal.status in (0x0200, 0x0201)
        else:
            raise AssertionError('not refused')


@case('names that look like numbers are names', own=ONE_WAY)
def _(target):
    for name in ('0xabcd', '0bQUJD', 'Zoë'):
        attempt = Attempt(target)
        attempt.answer(name)
        attempt.enter()


@case('a response may be written in base64 or in capital hexadecimal', own=ONE_WAY)
def _(target):
    for coded in (lambda r: '0b' + base64.b64encode(r).decode(), lambda r: '0X' + r.hex().upper()):
        attempt = Attempt(target)
        attempt.answer(coded=coded)
        attempt.enter()


@case('every attempt has a challenge of its own', own=ONE_WAY)
def _(target):
    seen = {Attempt(target).challenge for _ in range(20)}
    assert len(seen) == 20


@case('the response to an earlier challenge is refused', own=ONE_WAY)
def _(target):
    old = Attempt(target)
    response = old.response(USERS['host1'])
    refused(0x0201, Attempt(target).answer, coded=lambda _: hexadecimal(response))


@case('a login that skips the security stage is refused with 0201', own=ONE_WAY)
def _(target):
    target.refused(0x0201, lambda: target.login(security=False))


@case('a login that offers only None is refused with 0201', own=ONE_WAY)
def _(target):
    session = target.session()
    connection = session.connect()
    refused(0x0201, session.login_step, connection, SECURITY, OPERATIONAL,
            dict(session.identity(), AuthMethod='None'))


@case('a login that offers no method at all is refused with 0201', own=ONE_WAY)
def _(target):
    session = target.session()
    connection = session.connect()
    refused(0x0201, session.login_step, connection, SECURITY, OPERATIONAL, session.identity())


@case('a login that leaves the security stage early is not let in', own=ONE_WAY)
def _(target):
    session = target.session()
    connection = session.connect()
    session.login_step(connection, SECURITY, OPERATIONAL,
                       dict(session.identity(), AuthMethod='CHAP'))
    try:
        response = session.login_step(connection, SECURITY, OPERATIONAL)
        assert not response.final
        session.login_step(connection, OPERATIONAL, 3)
    except (Refused, AssertionError) as why:
        assert isinstance(why, Refused) and why.status in (0x0200, 0x0201, 0x0207, 0x020b), why
    else:
        raise AssertionError('not refused')


@case('a missing CHAP_R is refused with 0207', own=ONE_WAY)
def _(target):
    refused(0x0207, Attempt(target).step, {'CHAP_N': 'host1'}, True)


@case('our own challenge sent back instead of a response is refused', own=BOTH_WAYS)
def _(target):
    attempt = Attempt(target)
    refused(0x0207, attempt.step, {'CHAP_N': 'host1', 'CHAP_I': str(attempt.identifier),
                                   'CHAP_C': hexadecimal(attempt.challenge)}, True)


# --- mutual

@case('the target proves itself when asked', own=BOTH_WAYS)
def _(target):
    for algorithm in HASHES:
        attempt = Attempt(target, algorithm)
        challenge = bytes(range(32))
        keys = attempt.answer(CHAP_I='77', CHAP_C=hexadecimal(challenge))
        assert keys['CHAP_N'] == MUTUAL_NAME
        expected = HASHES[algorithm](bytes([77]) + OURS.encode() + challenge).digest()
        assert number(keys['CHAP_R']) == expected
        attempt.enter()


@case('an initiator may log in one way although mutual is configured', own=BOTH_WAYS)
def _(target):
    attempt = Attempt(target)
    assert 'CHAP_R' not in attempt.answer()
    attempt.enter()


@case('mutual authentication that is not configured is refused with 0201', own=ONE_WAY)
def _(target):
    refused(0x0201, Attempt(target).answer, CHAP_I='1', CHAP_C=hexadecimal(bytes(16)))


@case('a challenge equal to ours is refused', own=BOTH_WAYS)
def _(target):
    attempt = Attempt(target)
    refused(0x0201, attempt.answer, CHAP_I='9', CHAP_C=hexadecimal(attempt.challenge))


@case('the challenge of another open connection is no challenge for the target', own=BOTH_WAYS)
def _(target):
    victim, attacker = Attempt(target), Attempt(target)
    refused(0x0201, attacker.answer, CHAP_I=str(victim.identifier),
            CHAP_C=hexadecimal(victim.challenge))


@case('half a mutual challenge or one too long is refused', own=BOTH_WAYS)
def _(target):
    for more in ({'CHAP_I': '1'}, {'CHAP_C': hexadecimal(bytes(16))},
                 {'CHAP_I': '256', 'CHAP_C': hexadecimal(bytes(16))},
                 {'CHAP_I': '1', 'CHAP_C': hexadecimal(b'x' * 1025)},
                 {'CHAP_I': '1', 'CHAP_C': '0x'}):
        attempt = Attempt(target)
        try:
            attempt.answer(**more)
        except Refused as refusal:
            assert refusal.status in (0x0200, 0x0201, 0x0207), '%04x' % refusal.status
        else:
            raise AssertionError('not refused: %r' % more)


@case('no secret and no response is ever written to the log', own=BOTH_WAYS)
def _(target):
    good = Attempt(target)
    response = good.response(USERS['host1'])
    good.answer()
    refused(0x0201, Attempt(target).answer, secret='a wrong secret of some length')
    log = target.daemon.log()
    for word in list(USERS.values()) + [OURS, response.hex()]:
        assert word not in log, 'found %r' % word


@case('a refused login is one line with name, target and address', own=ONE_WAY)
def _(target):
    before = len(target.daemon.log().splitlines())
    refused(0x0201, Attempt(target).answer, secret='wrong')
    initiator = target.sessions[-1].initiator
    target.sessions[-1].connection.expect_closed()
    lines = target.daemon.wait_log(initiator, before)
    named = [line for line in lines if initiator in line]
    assert len(named) == 1 and IQN in named[0] and '127.0.0.1' in named[0], lines


if __name__ == '__main__':
    main(__file__)
