# SPDX-License-Identifier: BSD-3-Clause
"""A session of the scripted initiator: login, the negotiated numbers, CmdSN, and the requests."""
import itertools

import scsi
import wire
from connection import Connection
from task import Task
from wire import Pdu, NO_TAG

INITIATOR = 'iqn.2026-11.org.example:initiator'
OPERATIONAL, FULL_FEATURE, SECURITY = 1, 3, 0
OFFER = {'HeaderDigest': 'None', 'DataDigest': 'None', 'MaxConnections': '1', 'InitialR2T': 'Yes',
         'ImmediateData': 'Yes', 'MaxRecvDataSegmentLength': '262144', 'MaxBurstLength': '262144',
         'FirstBurstLength': '65536', 'DefaultTime2Wait': '2', 'DefaultTime2Retain': '0',
         'MaxOutstandingR2T': '1', 'DataPDUInOrder': 'Yes', 'DataSequenceInOrder': 'Yes',
         'ErrorRecoveryLevel': '0'}
DEFAULTS = {'HeaderDigest': 'None', 'DataDigest': 'None', 'MaxConnections': '1', 'InitialR2T': 'Yes',
            'ImmediateData': 'Yes', 'MaxBurstLength': '262144', 'FirstBurstLength': '65536',
            'DefaultTime2Wait': '2', 'DefaultTime2Retain': '20', 'MaxOutstandingR2T': '1',
            'DataPDUInOrder': 'Yes', 'DataSequenceInOrder': 'Yes', 'ErrorRecoveryLevel': '0',
            'MaxRecvDataSegmentLength': '8192'}
DECLARATIONS = {'MaxRecvDataSegmentLength', 'TargetAlias', 'TargetPortalGroupTag', 'TargetName',
                'TargetAddress', 'AuthMethod'}
_isids = itertools.count(1)


class Refused(Exception):
    """A login ended with a status other than success."""

    def __init__(self, response):
        super().__init__('login refused with %04x' % response.login_status)
        self.status, self.response = response.login_status, response


def new_isid():
    """An ISID no other session of this test program has (random format, 80h)."""
    return b'\x80' + next(_isids).to_bytes(3, 'big') + b'\x00\x01'


class Session:
    """Made by a test's target: peer.Target.session() or .login()."""
    first_lun = 0       # of the target under test; tgt cannot have a disk there

    def __init__(self, address, iqn, initiator=INITIATOR, isid=None, discovery=False):
        self.address, self.iqn, self.initiator, self.discovery = address, iqn, initiator, discovery
        self.isid = isid or new_isid()
        self.source = None              # the address to connect from
        self.tsih = 0
        self.cmd_sn = 1
        self.connections = []
        self.negotiated = dict(DEFAULTS)
        self.last_login = None          # the final Login Response
        self.answers = {}               # all keys the target sent during login
        self._itt = itertools.count(1)

    # --- login

    @property
    def connection(self):
        return self.connections[0]

    def connect(self, cid=0):
        connection = Connection(self.address, cid, self.source)
        self.connections.append(connection)
        return connection

    def identity(self):
        """The keys that say who we are and whom we want."""
        keys = {'InitiatorName': self.initiator}
        if self.discovery:
            keys['SessionType'] = 'Discovery'
        else:
            keys.update(SessionType='Normal', TargetName=self.iqn)
        return keys

    def login_request(self, connection, csg, nsg=None, keys=(), more=False, raw=None, itt=0x10,
                      **fields):
        """One Login Request; nsg means transit (T). Fields of the header can be overridden."""
        flags = csg << 2 | (wire.CONTINUE if more else 0)
        if nsg is not None:
            flags |= wire.FINAL | nsg
        pdu = Pdu(wire.LOGIN_REQUEST, wire.text_segment(keys) if raw is None else raw, flags=flags,
                  isid=self.isid, tsih=self.tsih, itt=itt, cid=connection.cid, cmd_sn=self.cmd_sn)
        pdu.immediate = True
        for name, value in fields.items():
            setattr(pdu, name, value)
        connection.send(pdu)
        return pdu

    def login_response(self, connection):
        """The Login Response; a refusal is raised as Refused."""
        pdu = connection.expect(wire.LOGIN_RESPONSE)
        if pdu.login_status >> 8:
            raise Refused(pdu)
        assert pdu.isid == self.isid, 'ISID %s of the response' % pdu.isid.hex()
        return pdu

    def login_step(self, connection, csg, nsg=None, keys=(), **more):
        """A request and its response, with what every response must repeat."""
        request = self.login_request(connection, csg, nsg, keys, **more)
        response = self.login_response(connection)
        assert response.itt == request.itt, 'the ITT of the login changed'
        assert response.flags >> 2 & 3 == csg, 'CSG %d answered with flags %02x' % (csg, response.flags)
        assert response.version_max == 0 and response.byte3 == 0, 'version of %r' % response
        if response.final:
            assert nsg is not None, 'T answered without T'
            assert response.flags & 3 == nsg, 'NSG %d, flags %02x' % (nsg, response.flags)
        return response

    def login_stage(self, connection, csg, nsg, keys, **more):
        """Offers keys in a stage and leaves it; returns the last response and the target's keys."""
        answers, offered = {}, set(dict(keys))
        for _ in range(8):
            response = self.login_step(connection, csg, nsg, keys, **more)
            news = response.keys()
            while response.flags & wire.CONTINUE:
                response = self.login_step(connection, csg, **more)
                news.update(response.keys())
            answers.update(news)
            if response.final:
                return response, answers
            # what the target proposes of its own accord is agreed to
            keys = {key: value for key, value in news.items()
                    if key not in offered and key not in DECLARATIONS}
            offered.update(keys)
        raise AssertionError('the target does not leave the stage')

    def login(self, cid=0, offer=None, security=True, **changes):
        """The whole login without authentication; changes replace entries of the usual offer."""
        connection = self.connect(cid)
        offer = dict(OFFER if offer is None else offer, **changes)
        if self.discovery:
            offer = {key: offer[key] for key in
                     ('HeaderDigest', 'DataDigest', 'MaxRecvDataSegmentLength') if key in offer}
        first = dict(self.identity())
        if security:
            first['AuthMethod'] = 'None'
            _, self.answers = self.login_stage(connection, SECURITY, OPERATIONAL, first)
            assert self.answers.get('AuthMethod') == 'None', self.answers
            first = {}
        self.finish_login(connection, offer, first)
        return self

    def finish_login(self, connection, offer, first=()):
        """The operational stage, and what it changes."""
        if 'MaxRecvDataSegmentLength' in offer:
            connection.own_mrdsl = max(8192, int(offer['MaxRecvDataSegmentLength']))
        response, answers = self.login_stage(connection, OPERATIONAL, FULL_FEATURE,
                                             dict(first, **offer))
        self.answers.update(answers)
        self.enter_full_feature(connection, response, offer, answers)

    def enter_full_feature(self, connection, response, offer, answers):
        assert response.tsih != 0, 'TSIH 0 in the final response'
        assert self.tsih in (0, response.tsih), 'TSIH changed'
        self.tsih, self.last_login = response.tsih, response
        leading = connection is self.connections[0]
        for key, value in answers.items():
            if key in DEFAULTS and (leading or key in ('HeaderDigest', 'DataDigest')):
                self.negotiated[key] = value
        for key in ('HeaderDigest', 'DataDigest', 'MaxBurstLength', 'FirstBurstLength'):
            assert key not in offer or key in answers or self.discovery, '%s was not answered' % key
        for key in ('InitialR2T', 'ImmediateData'):  # the answer may be left out when the offer decides
            if key in offer and key not in answers and leading:
                self.negotiated[key] = offer[key]
        connection.mrdsl = int(answers.get('MaxRecvDataSegmentLength', 8192))
        connection.own_mrdsl = int(offer.get('MaxRecvDataSegmentLength', 8192))
        connection.header_digest = answers.get('HeaderDigest') == 'CRC32C'
        connection.data_digest = answers.get('DataDigest') == 'CRC32C'
        connection.full_feature = True

    def number(self, key):
        value = self.negotiated[key]
        return int(value if value.isdigit() else DEFAULTS[key])     # 'Irrelevant' is no number

    # --- requests in full-feature phase

    def next_itt(self):
        return next(self._itt)

    def next_cmd_sn(self, immediate=False):
        number = self.cmd_sn
        if not immediate:
            self.cmd_sn = (self.cmd_sn + 1) & 0xffffffff
        return number

    def request(self, opcode, data=b'', immediate=False, connection=None, spoil='', **fields):
        """Sends a request with the next CmdSN and a new ITT, unless the fields say otherwise."""
        fields.setdefault('itt', self.next_itt())
        pdu = Pdu(opcode, data, **fields)
        pdu.immediate = immediate
        if 'cmd_sn' not in fields:
            pdu.cmd_sn = self.next_cmd_sn(immediate)
        (connection or self.connection).send(pdu, spoil)
        return pdu

    def start(self, cdb, read=0, write=None, lun=None, edtl=None, immediate_data=None, flags=None,
              hold_r2ts=False, connection=None, more=False, attribute=1, **fields):
        """Starts a SCSI command. Writes send as much immediate data as was negotiated, or
        immediate_data bytes; more=True leaves F out (unsolicited Data-Out follows). The attribute is
        the task's: 0 untagged, 1 SIMPLE, 2 ORDERED, 3 HEAD OF QUEUE, 4 ACA."""
        connection = connection or self.connection
        payload = write or b''
        if edtl is None:
            edtl = len(payload) if write is not None else read
        if flags is None:
            flags = wire.WRITE if write is not None else wire.READ if read else 0
        if immediate_data is None:
            allowed = min(self.number('FirstBurstLength'), connection.mrdsl)
            immediate_data = allowed if self.negotiated['ImmediateData'] == 'Yes' else 0
        pdu = Pdu(wire.SCSI_COMMAND, payload[:immediate_data],
                  flags=flags | (0 if more else wire.FINAL) | attribute, edtl=edtl,
                  lun=self.first_lun if lun is None else lun,
                  itt=self.next_itt(), cdb=bytes(cdb).ljust(16, b'\0'))
        for name, value in fields.items():
            if name != 'spoil':
                setattr(pdu, name, value)
        if 'cmd_sn' not in fields:
            pdu.cmd_sn = self.next_cmd_sn(pdu.immediate)
        task = Task(self, connection, pdu, payload)
        task.hold_r2ts = hold_r2ts
        connection.tasks[pdu.itt] = task
        connection.send(pdu, fields.get('spoil', ''))
        return task

    def command(self, cdb, **more):
        """A SCSI command from start to status."""
        return self.start(cdb, **more).wait()

    def read(self, lba, blocks, **more):
        return self.command(scsi.read_10(lba, blocks), read=512 * blocks, **more)

    def write(self, lba, data, **more):
        return self.command(scsi.write_10(lba, len(data) // 512), write=data, **more)

    def alive(self, lun=None):
        """The session still does I/O; unit attentions on the way are taken."""
        for _ in range(8):
            task = self.command(scsi.test_unit_ready(), lun=lun)
            if task.status == scsi.GOOD:
                return
            assert task.sense.key == 6, 'status %02x %r' % (task.status, task.sense)
        raise AssertionError('unit attention without end')

    def nop(self, data=b'', connection=None, **fields):
        fields.setdefault('ttt', NO_TAG)
        fields.setdefault('flags', wire.FINAL)
        return self.request(wire.NOP_OUT, data, connection=connection, **fields)

    def task_management(self, function, lun=None, referenced=NO_TAG, connection=None, immediate=True,
                        **fields):
        self.request(wire.TASK_REQUEST, immediate=immediate, connection=connection,
                     flags=wire.FINAL | function,
                     lun=self.first_lun if lun is None else lun, referenced_tag=referenced, **fields)
        return (connection or self.connection).expect(wire.TASK_RESPONSE)

    def text(self, keys, connection=None, **fields):
        """A Text Request in one PDU; returns the keys of the whole response."""
        connection = connection or self.connection
        fields.setdefault('ttt', NO_TAG)
        self.request(wire.TEXT_REQUEST, wire.text_segment(keys), flags=wire.FINAL,
                     connection=connection, **fields)
        return connection.expect(wire.TEXT_RESPONSE)

    def logout(self, reason=0, cid=0, connection=None):
        """Logs out and sees the connection closed; returns the response."""
        connection = connection or self.connection
        self.request(wire.LOGOUT_REQUEST, immediate=True, connection=connection,
                     flags=wire.FINAL | reason, cid=cid)
        return connection.expect(wire.LOGOUT_RESPONSE)

    def close(self):
        for connection in self.connections:
            connection.close()
