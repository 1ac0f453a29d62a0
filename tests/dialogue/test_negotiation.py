# SPDX-License-Identifier: BSD-3-Clause
"""Operational keys: each result function, what is out of range, who may say what (RFC 7143 13)."""
from peer import IQN, OFFER, case, main, ram
from session import FULL_FEATURE, OPERATIONAL, SECURITY

LIMITED = {IQN: {'portals': ['test'], 'luns': {0: ram()}, 'session': {
    'max-burst-length': '128K', 'first-burst-length': '32K', 'max-outstanding-r2t': 4,
    'max-connections': 2, 'default-time2wait': '5s', 'time2wait-spread': '0s', 'default-time2retain': '7s'}}}


def negotiate(target, *pairs):
    """Offers pairs in one PDU of the operational stage, without leaving it; returns the answers."""
    session = target.session()
    connection = session.connect()
    session.login_stage(connection, SECURITY, OPERATIONAL,
                        dict(session.identity(), AuthMethod='None'))
    return session.login_step(connection, OPERATIONAL, None, pairs).keys()


@case('numbers become the smaller one', own=dict(targets=LIMITED))
def _(target):
    for key, offered, result in (
            ('MaxBurstLength', '16776192', '131072'), ('MaxBurstLength', '65536', '65536'),
            ('FirstBurstLength', '16384', '16384'), ('FirstBurstLength', '262144', '32768'),
            ('MaxOutstandingR2T', '8', '4'), ('MaxOutstandingR2T', '2', '2'),
            ('MaxConnections', '8', '2'), ('MaxConnections', '1', '1'),
            ('ErrorRecoveryLevel', '2', '0'), ('DefaultTime2Retain', '0', '0'),
            ('DefaultTime2Retain', '3600', '7')):
        got = negotiate(target, (key, offered)).get(key)
        assert got == result, '%s=%s gave %s, expected %s' % (key, offered, got, result)


@case('DefaultTime2Wait becomes the larger one', own=dict(targets=LIMITED))
def _(target):
    for offered, result in (('0', '5'), ('5', '5'), ('6', '6'), ('3600', '3600')):
        assert negotiate(target, ('DefaultTime2Wait', offered))['DefaultTime2Wait'] == result, offered


@case('numbers may be written in hexadecimal')
def _(target):
    assert int(negotiate(target, ('MaxBurstLength', '0x8000'))['MaxBurstLength'], 0) == 0x8000


@case('booleans become the AND or the OR of both sides')
def _(target):
    for key, offered, allowed in (
            ('InitialR2T', 'Yes', ('Yes', None)), ('ImmediateData', 'No', ('No', None)),
            ('DataPDUInOrder', 'Yes', ('Yes', None)), ('DataSequenceInOrder', 'Yes', ('Yes', None))):
        got = negotiate(target, (key, offered)).get(key)
        assert got in allowed, '%s=%s gave %s' % (key, offered, got)
    for key in ('InitialR2T', 'DataPDUInOrder', 'DataSequenceInOrder'):
        assert negotiate(target, (key, 'No')).get(key) in ('Yes', 'No')
    assert negotiate(target, ('ImmediateData', 'Yes')).get('ImmediateData') in ('Yes', 'No')


@case('booleans are as offered where we insist on nothing, and the order of data is insisted on', own={})
def _(target):
    for key, offered, result in (('InitialR2T', 'No', 'No'), ('ImmediateData', 'Yes', 'Yes'),
                                 ('DataPDUInOrder', 'No', 'Yes'), ('DataSequenceInOrder', 'No', 'Yes')):
        assert negotiate(target, (key, offered)).get(key) == result, key


@case('a configured InitialR2T or ImmediateData is insisted on',
      own=dict(targets={IQN: {'portals': ['test'], 'luns': {0: ram()}, 'session': {
          'initial-r2t': True, 'immediate-data': False}}}))
def _(target):
    assert negotiate(target, ('InitialR2T', 'No'))['InitialR2T'] == 'Yes'
    assert negotiate(target, ('ImmediateData', 'Yes'))['ImmediateData'] == 'No'


@case('the first digest of the list that both have is taken')
def _(target):
    for key in ('HeaderDigest', 'DataDigest'):
        assert negotiate(target, (key, 'CRC32C,None'))[key] == 'CRC32C'
        assert negotiate(target, (key, 'None,CRC32C'))[key] == 'None'
        assert negotiate(target, (key, 'Y-other,CRC32C'))[key] == 'CRC32C'


@case('a digest can be required by the configuration',
      own=dict(targets={IQN: {'portals': ['test'], 'luns': {0: ram()}, 'session': {
          'header-digest': ['crc32c'], 'data-digest': ['none']}}}))
def _(target):
    answers = negotiate(target, ('HeaderDigest', 'None,CRC32C'), ('DataDigest', 'CRC32C,None'))
    assert answers['HeaderDigest'] == 'CRC32C' and answers['DataDigest'] == 'None'


@case('obsolete marker keys are answered, never NotUnderstood')
def _(target):
    answers = negotiate(target, ('IFMarker', 'No'), ('OFMarker', 'No'))
    assert answers['IFMarker'] in ('No', 'Reject') and answers['OFMarker'] in ('No', 'Reject')
    answers = negotiate(target, ('IFMarkInt', '2048~8192'), ('OFMarkInt', '2048~8192'))
    assert answers['IFMarkInt'] == 'Reject' and answers['OFMarkInt'] == 'Reject', answers


@case('every key of the standard is understood')
def _(target):
    answers = negotiate(target, ('TaskReporting', 'RFC3720'), ('iSCSIProtocolLevel', '1'),
                        ('X#NodeArchitecture', 'test'), *OFFER.items())
    assert answers['TaskReporting'] == 'RFC3720'
    assert answers['iSCSIProtocolLevel'] in ('0', '1')
    answers.pop('X#NodeArchitecture', '')   # may be ignored or not understood
    assert 'NotUnderstood' not in answers.values(), answers


@case('a value out of range or of the wrong kind is rejected or ends the login')
def _(target):
    for key, value in (('MaxBurstLength', '511'), ('MaxBurstLength', '16777216'),
                       ('MaxBurstLength', 'many'), ('MaxBurstLength', '-1'),
                       ('MaxBurstLength', '99999999999999999999'), ('MaxBurstLength', ''),
                       ('MaxOutstandingR2T', '0'), ('ErrorRecoveryLevel', '3'),
                       ('DefaultTime2Wait', '3601'), ('InitialR2T', 'yes'), ('ImmediateData', '1'),
                       ('MaxRecvDataSegmentLength', '100')):
        session = target.session()
        connection = session.connect()
        session.login_stage(connection, SECURITY, OPERATIONAL,
                            dict(session.identity(), AuthMethod='None'))
        session.login_request(connection, OPERATIONAL, None, [(key, value)])
        response = connection.receive()
        if response.login_status == 0:
            assert response.keys().get(key) == 'Reject', '%s=%s: %r' % (key, value, response.text())
        else:
            assert response.login_status == 0x0200, '%04x' % response.login_status
            connection.expect_closed()


@case('FirstBurstLength never ends above MaxBurstLength')
def _(target):
    session = target.session()
    connection = session.connect()
    session.login_stage(connection, SECURITY, OPERATIONAL,
                        dict(session.identity(), AuthMethod='None'))
    session.login_request(connection, OPERATIONAL, FULL_FEATURE,
                          dict(OFFER, InitialR2T='No', FirstBurstLength='65536',
                               MaxBurstLength='4096'))
    response = connection.receive()
    if response.login_status == 0:
        keys = response.keys()
        assert int(keys['FirstBurstLength']) <= int(keys['MaxBurstLength']), keys
    else:
        assert response.login_status == 0x0200


@case('MaxRecvDataSegmentLength of the target is declared and can be configured',
      own=dict(targets={IQN: {'portals': ['test'], 'luns': {0: ram()},
                              'session': {'max-recv-data-segment-length': '16K'}}}))
def _(target):
    session = target.login()
    assert session.answers['MaxRecvDataSegmentLength'] == '16384', session.answers
    session.write(0, b'w' * 65536).good()
    assert session.read(0, 128).good().data == b'w' * 65536


@case('the alias of a target is told',
      own=dict(targets={IQN: {'portals': ['test'], 'alias': 'a test', 'luns': {0: ram()}}}))
def _(target):
    assert target.login().answers['TargetAlias'] == 'a test'


@case('what was negotiated is kept: small bursts, small segments')
def _(target):
    session = target.login(MaxRecvDataSegmentLength='1024', MaxBurstLength='4096',
                           FirstBurstLength='2048')
    pattern = bytes(range(256)) * 200
    session.write(3, pattern).good()
    task = session.read(3, 100).good()
    assert task.data == pattern
    assert max(len(pdu.data) for pdu in task.data_ins) <= 1024


if __name__ == '__main__':
    main(__file__)
