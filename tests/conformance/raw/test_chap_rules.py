# SPDX-License-Identifier: BSD-3-Clause
"""CHAP, what the dialogues leave out (RFC 7143 9.2.1, 12.1.3; RFC 1994)."""
import base64
import hashlib
import subprocess

import dialogue  # noqa: F401  pylint: disable=unused-import
from chap import BOTH_WAYS, ONE_WAY, OURS, USERS, Attempt, hexadecimal, number, refused
from peer import IQN, LIMIT, Refused, Settings, case, main, ram, serve
from session import OPERATIONAL, SECURITY


@case('CHAP_A that is no list of numbers, empty or unknown is refused with 0201', own=ONE_WAY)
def _(target):
    for algorithms in ('56', '', ',', '4', '05x', '-5', '5 ', '1000000000005', 'MD5'):
        refused(0x0201, Attempt, target, algorithms)


@case('CHAP_A is read to its end: an unknown number before a known one does no harm', own=ONE_WAY)
def _(target):
    attempt = Attempt(target, '56,99,0x5')
    assert attempt.algorithm == '5'
    attempt.answer()
    attempt.enter()


@case('a key that does not belong to a step is refused with 0200', own=BOTH_WAYS)
def _(target):
    for more in ({'CHAP_N': 'host1'}, {'CHAP_R': '0x00'}, {'CHAP_I': '1'}, {'CHAP_C': '0x00'}):
        session = target.session()
        connection = session.connect()
        session.login_step(connection, SECURITY, OPERATIONAL,
                           dict(session.identity(), AuthMethod='CHAP'))
        refused(0x0200, session.login_step, connection, SECURITY, None, dict({'CHAP_A': '5'}, **more))
    refused(0x0200, Attempt(target).answer, CHAP_A='5')


@case('keys of CHAP before the method is agreed are not taken for an answer', own=ONE_WAY)
def _(target):
    session = target.session()
    connection = session.connect()
    try:
        response = session.login_step(connection, SECURITY, OPERATIONAL,
                                      dict(session.identity(), CHAP_N='host1', CHAP_R='0x00'))
        assert not response.final
        session.login_step(connection, OPERATIONAL, 3, {})
    except (Refused, AssertionError) as why:
        assert isinstance(why, Refused) and why.status >> 8 == 2, why
    else:
        raise AssertionError('let in')


@case('a missing CHAP_N is refused with 0207', own=ONE_WAY)
def _(target):
    attempt = Attempt(target)
    refused(0x0207, attempt.step, {'CHAP_R': hexadecimal(attempt.response(USERS['host1']))}, True)


@case('CHAP_R that is no binary value is refused with 0201', own=ONE_WAY)
def _(target):
    for text in ('', '0x', 'zz', '0xzz', '0b****', '12', '0x' + '0' * 31, '0x' + '0' * 34):
        attempt = Attempt(target)
        refused(0x0201, attempt.step, {'CHAP_N': 'host1', 'CHAP_R': text}, True)


@case('hexadecimal values may have an odd number of digits', own=BOTH_WAYS)
def _(target):
    attempt = Attempt(target)
    keys = attempt.answer(CHAP_I='1', CHAP_C='0x' + '1' * 33)     # 17 bytes, the first one 01
    expected = hashlib.md5(b'\x01' + OURS.encode() + bytes.fromhex('0' + '1' * 33)).digest()
    assert number(keys['CHAP_R']) == expected
    attempt.enter()


@case('a challenge of 1 byte and one of 1024 bytes are answered', own=BOTH_WAYS)
def _(target):
    for challenge in (b'c', bytes(range(1, 129)) * 8):
        for coded in (hexadecimal, lambda value: '0b' + base64.b64encode(value).decode()):
            attempt = Attempt(target)
            keys = attempt.answer(CHAP_I='255', CHAP_C=coded(challenge))
            assert number(keys['CHAP_R']) == hashlib.md5(b'\xff' + OURS.encode() + challenge).digest()
            attempt.enter()


@case('a name that is longer than any configured one is refused with 0201', own=ONE_WAY)
def _(target):
    attempt = Attempt(target)
    response = hexadecimal(attempt.response(USERS['host1']))
    refused(0x0201, attempt.step, {'CHAP_N': 'host1' + 'x' * 250, 'CHAP_R': response}, True)


@case('identifiers differ from attempt to attempt', own=ONE_WAY)
def _(target):
    assert len({Attempt(target).identifier for _ in range(16)}) > 1


@case('our response, asked for on one connection, does not do as the answer on another', own=BOTH_WAYS)
def _(target):
    # The attacker knows one user's secret, and wants to be let in as another by our own words.
    victim, oracle = Attempt(target), Attempt(target)
    refused(0x0201, oracle.answer, CHAP_I=str(victim.identifier), CHAP_C=hexadecimal(victim.challenge))
    oracle = Attempt(target)
    reply = oracle.answer(CHAP_I=str(victim.identifier), CHAP_C=hexadecimal(victim.challenge[:-1]))
    refused(0x0201, victim.step, {'CHAP_N': 'host1', 'CHAP_R': reply['CHAP_R']}, True)


@case('our own response to our own challenge is refused', own=BOTH_WAYS)
def _(target):
    attempt = Attempt(target)
    ours = hashlib.md5(bytes([attempt.identifier]) + OURS.encode() + attempt.challenge).digest()
    refused(0x0201, attempt.step, {'CHAP_N': 'host1', 'CHAP_R': hexadecimal(ours)}, True)
    attempt = Attempt(target)
    ours = hashlib.md5(bytes([attempt.identifier]) + OURS.encode() + attempt.challenge).digest()
    refused(0x0201, attempt.step, {'CHAP_N': 'target-1', 'CHAP_R': hexadecimal(ours)}, True)


@case('a challenge of an earlier connection, given back, is only a challenge', own=BOTH_WAYS)
def _(target):
    first = Attempt(target)
    first.connection.close()
    second = Attempt(target)
    second.answer(CHAP_I=str(first.identifier), CHAP_C=hexadecimal(first.challenge + b'x'))
    second.enter()


def with_secrets(user, ours):
    names = {'host1': user} if isinstance(user, str) else user
    users = [{'name': name, 'secret': secret} for name, secret in names.items()]
    options = {'users': users, 'mutual': {'name': 'target-1', 'secret': ours}}
    return dict(auth={'lab': {'plugin': 'chap', 'options': options}},
                targets={IQN: {'portals': ['test'], 'auth': 'lab', 'luns': {0: ram()}}})


@case('one secret for both directions is a mistake of the configuration', alone=True)
def _():
    for users in ('the same long secret', {'host1': 'one of sixteen..', 'host2': 'the same long secret'}):
        with serve(start=False, **with_secrets(users, 'the same long secret')) as daemon:
            done = subprocess.run([Settings.daemon, '--check', '-c', str(daemon.config_file)], text=True,
                                  capture_output=True, timeout=LIMIT, check=False)
            said = done.stdout + done.stderr
            assert done.returncode == 1 and 'the secret is also that of user' in said, said
            assert 'the same long secret' not in said


@case('a secret of less than 96 bits is warned of, and taken', own=with_secrets('short', 'another secret'))
def _(target):
    attempt = Attempt(target)
    attempt.answer(secret='short')
    attempt.enter()
    warnings = [line for line in target.daemon.log().splitlines() if 'secret is shorter than' in line]
    assert any('host1' in line for line in warnings) and not any('short"' in line for line in warnings)
    assert not any('target-1' in line for line in warnings), warnings


@case('a response that was right once does not let in again', own=ONE_WAY)
def _(target):
    first = Attempt(target)
    response = hexadecimal(first.response(USERS['host1']))
    first.answer()
    first.enter()
    refused(0x0201, Attempt(target).step, {'CHAP_N': 'host1', 'CHAP_R': response}, True)


if __name__ == '__main__':
    main(__file__)
