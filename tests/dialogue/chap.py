# SPDX-License-Identifier: BSD-3-Clause
"""The initiator's side of CHAP, and the configurations it is tried with."""
import base64
import hashlib

from peer import IQN, Refused, ram
from session import OPERATIONAL, SECURITY

HASHES = {'5': hashlib.md5, '6': hashlib.sha1, '7': hashlib.sha256, '8': hashlib.sha3_256}
USERS = {'host1': 'a secret of sixteen', '0xabcd': 'another long secret', '0bQUJD': 'a third long secret',
         'Zoë': 'secret with an umlaut ä'}
OURS, MUTUAL_NAME = 'the secret of the target', 'target-1'


def config(mutual=False):
    files = {'user%d' % n: secret + '\n' for n, secret in enumerate(USERS.values())}
    options = {'users': [{'name': name, 'secret-file': '$FOLDER/user%d' % n}
                         for n, name in enumerate(USERS)]}
    if mutual:
        files['ours'] = OURS
        options['mutual'] = {'name': MUTUAL_NAME, 'secret-file': '$FOLDER/ours'}
    return dict(files=files, auth={'lab': {'plugin': 'chap', 'options': options}},
                targets={IQN: {'portals': ['test'], 'auth': 'lab', 'luns': {0: ram()}}})


ONE_WAY, BOTH_WAYS = config(), config(mutual=True)


def number(text):
    """A binary value as it may be written: 0x hexadecimal or 0b base64."""
    if text[:2] in ('0b', '0B'):
        return base64.b64decode(text[2:])
    assert text[:2] in ('0x', '0X'), text
    return bytes.fromhex(text[2:])


def hexadecimal(value):
    return '0x' + value.hex()


class Attempt:
    """One login up to the challenge; answer() goes on."""

    def __init__(self, target, algorithms='5', discovery=False, methods='CHAP,None', session=None, cid=0):
        self.session = session or target.session(discovery=discovery)
        self.connection = self.session.connect(cid)
        first = self.session.login_step(self.connection, SECURITY, OPERATIONAL,
                                        dict(self.session.identity(), AuthMethod=methods))
        assert not first.final, 'let in without a word about the secret'
        assert first.keys()['AuthMethod'] == 'CHAP', first.keys()
        keys = self.step({'CHAP_A': algorithms})
        self.algorithm = keys['CHAP_A']
        self.identifier, self.challenge = int(keys['CHAP_I'], 0), number(keys['CHAP_C'])
        assert 0 <= self.identifier <= 255 and 16 <= len(self.challenge) <= 1024

    def step(self, keys, transit=False):
        response = self.session.login_step(self.connection, SECURITY,
                                           OPERATIONAL if transit else None, keys)
        self.last = response
        return response.keys()

    def response(self, secret):
        return HASHES[self.algorithm](bytes([self.identifier]) + secret.encode() +
                                      self.challenge).digest()

    def answer(self, name='host1', secret=None, coded=hexadecimal, **more):
        secret = USERS.get(name, '?') if secret is None else secret
        return self.step(dict({'CHAP_N': name, 'CHAP_R': coded(self.response(secret))}, **more), True)

    def join(self):
        """The operational stage of a further connection."""
        self.session.finish_login(self.connection, {'HeaderDigest': 'None', 'DataDigest': 'None'})

    def enter(self):
        """The operational stage, and a command to see that it is real."""
        assert self.last.final, 'the right answer does not end the security stage'
        self.session.finish_login(self.connection, {'HeaderDigest': 'None', 'DataDigest': 'None'})
        if not self.session.discovery:
            self.session.alive()


def refused(status, function, *arguments, **more):
    try:
        function(*arguments, **more)
    except Refused as refusal:
        assert refusal.status == status, 'refused with %04x, expected %04x' % (refusal.status, status)
        return
    raise AssertionError('not refused')
