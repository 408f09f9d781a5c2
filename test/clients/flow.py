"""The whole flow of a payment by a client that knows nothing but the .proto files: banks, a merchant, an order, its payment, its
register. What banks and merchants sign is signed with openssl; the standard library does the rest.

Arguments: the core's address, an operator's credential, the folder of the stubs. Prints one JSON object.
"""

import base64
import datetime
import hashlib
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid

address, operator_token, stubs = sys.argv[1:4]
sys.path.insert(0, stubs)

import google

# Of Debian's packages `google` is one folder, to which that of the stubs has to be added.
google.__path__ = [*google.__path__, os.path.join(stubs, "google")]

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from dcm.v1 import (
    credential_service_pb2 as credentials_api,
    credential_service_pb2_grpc as credentials_rpc,
    error_pb2,
    order_service_pb2 as orders_api,
    order_service_pb2_grpc as orders_rpc,
    participant_pb2,
    participant_service_pb2 as participants_api,
    participant_service_pb2_grpc as participants_rpc,
    payment_message_pb2,
    payment_message_service_pb2 as messages_api,
    payment_message_service_pb2_grpc as messages_rpc,
    scope_pb2,
    settlement_pb2,
    settlement_service_pb2 as settlements_api,
    settlement_service_pb2_grpc as settlements_rpc,
)

channel = grpc.insecure_channel(address)
participants = participants_rpc.ParticipantServiceStub(channel)
credentials = credentials_rpc.CredentialServiceStub(channel)
orders = orders_rpc.OrderServiceStub(channel)
messages = messages_rpc.PaymentMessageServiceStub(channel)
settlements = settlements_rpc.SettlementServiceStub(channel)

TIMEOUT = 10


def bearer(token, *more):
    return (("authorization", f"Bearer {token}"), *more)


# ------------------------------------------------------------------------------------------------------------- signing


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    def __init__(self, name):
        self.kid = f"{name}-{uuid.uuid4()}"
        self.file = os.path.join(folder, f"{self.kid}.pem")
        subprocess.run(
            ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.file],
            check=True,
            capture_output=True,
        )
        told = subprocess.run(
            ["openssl", "rsa", "-in", self.file, "-noout", "-modulus"], check=True, capture_output=True, text=True
        ).stdout
        modulus = bytes.fromhex(told.strip().removeprefix("Modulus="))
        self.jwk = json.dumps(
            {"kty": "RSA", "n": b64(modulus), "e": "AQAB", "alg": "RS256", "use": "sig", "kid": self.kid}
        )

    def sign(self, claims):
        head = b64(json.dumps({"alg": "RS256", "kid": self.kid}).encode())
        content = f"{head}.{b64(json.dumps(claims).encode())}"
        signed = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self.file], check=True, input=content.encode(), capture_output=True
        )
        return f"{content}.{b64(signed.stdout)}"


def iban(bic, account):
    bban = f"{bic}{account:019d}"
    # U is 30 and A is 10.
    return f"UA{98 - int(f'{bban}301000') % 97:02d}{bban}"


# ----------------------------------------------------------------------------------------------- where callbacks arrive


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        received.append(self.path)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


received = []
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
receiver = f"http://127.0.0.1:{server.server_address[1]}"


# ------------------------------------------------------------------------------------------------------------- the flow


def credential():
    until = Timestamp()
    until.FromSeconds(int(time.time()) + 3600)
    wanted = credentials_api.AddCredentialRequest(
        name=f"python-{uuid.uuid4()}"[:40],
        scopes=[scope_pb2.SCOPE_GATEWAY, scope_pb2.SCOPE_READER],
        expires_at=until,
    )
    return credentials.AddCredential(wanted, metadata=bearer(operator_token), timeout=TIMEOUT).secret


def onboard(bank_key, merchant_key):
    bic = f"{uuid.uuid4().int % 900_000 + 100_000}"
    urls = participant_pb2.CallbackUrls(base=receiver)
    bank = participants.RegisterBank(
        participants_api.RegisterBankRequest(
            bank=participant_pb2.Participant(
                name="Python Bank",
                tax_code="12345678",
                bic=bic,
                roles=[participant_pb2.BANK_ROLE_INITIATOR, participant_pb2.BANK_ROLE_RECIPIENT],
                iban=iban(bic, 1),
                callback_urls=urls,
                signing_jwks=[bank_key.jwk],
                email="duty@bank.example",
            )
        ),
        metadata=bearer(operator_token),
        timeout=TIMEOUT,
    ).bank
    merchant = participants.RegisterMerchant(
        participants_api.RegisterMerchantRequest(
            merchant=participant_pb2.Participant(
                name="Python Books",
                iban=iban(bic, 2),
                mcc="5942",
                servicing_bank_guid=bank.guid,
                callback_urls=urls,
                signing_jwks=[merchant_key.jwk],
            )
        ),
        metadata=bearer(operator_token),
        timeout=TIMEOUT,
    ).merchant
    return bank, merchant


def payment_claims(bank, merchant, order_id):
    return {
        "jti": str(uuid.uuid4()),
        "payment_message_external_id": str(uuid.uuid4()),
        "amount": 21.5,
        "currency": "UAH",
        "debtor_agent_bic": bank.bic,
        "debtor": {
            # What only the two banks can read; the platform looks at how it is written.
            "debtor_name": b64(bytes(21)),
            "debtor_id": b64(bytes(21)),
            "debtor_account": iban(bank.bic, 77),
            "debtor_phone": "+380501234567",
        },
        "creditor_agent_bic": bank.bic,
        "creditor": {
            "creditor_name": b64(bytes(21)),
            "creditor_id": b64(bytes(21)),
            "creditor_account": merchant.iban,
        },
        "order_id": order_id,
        "purpose": "Books",
        "msg_creation_date": "2024-01-15",
        "msg_creation_time": "12:30:00",
        "pm_type": "trade",
        "sender_account_type": "limit-related",
        "encryption": {"nonce": b64(bytes(12)), "encrypted_key": base64.b64encode(bytes(256)).decode()},
    }


def main():
    bank_key, merchant_key = Key("bank"), Key("merchant")
    token = credential()
    bank, merchant = onboard(bank_key, merchant_key)

    now = int(time.time())
    order_claims = {
        "sub": merchant.uid,
        "ref": f"order-{now}",
        "amt": 21.5,
        "cur": "UAH",
        "prp": "Books",
        "url": "https://shop.example/thanks",
        "iat": now,
        "exp": now + 900,
    }
    order = orders.CreateOrder(
        orders_api.CreateOrderRequest(jws=merchant_key.sign(order_claims)), metadata=bearer(token), timeout=TIMEOUT
    ).order

    def as_bank(digest_of):
        return bearer(
            token,
            ("cx-authorization", bank_key.sign({"iat": int(time.time()), "jti": str(uuid.uuid4())})),
            ("dcm-request-digest", b64(hashlib.sha256(digest_of.encode()).digest())),
        )

    def submit():
        jws = bank_key.sign(payment_claims(bank, merchant, order.id))
        request = messages_api.SubmitPaymentMessageRequest(jws=jws)
        return messages.SubmitPaymentMessage(request, metadata=as_bank(jws), timeout=TIMEOUT).guid

    guid = submit()
    try:
        submit()
        raise AssertionError("a second payment of the order was accepted")
    except grpc.RpcError as error:
        refusal = refusal_of(error)

    deadline = time.monotonic() + 20
    status = None
    while status != "PAYMENT_MESSAGE_STATUS_SUCCESS" and time.monotonic() < deadline:
        found = messages.GetPaymentMessage(
            messages_api.GetPaymentMessageRequest(guid=guid), metadata=bearer(token), timeout=TIMEOUT
        )
        status = payment_message_pb2.PaymentMessageStatus.Name(found.payment_message.status)
        time.sleep(0.1)

    today = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=2))).strftime("%Y-%m-%d")
    settlements.CloseRegisters(
        settlements_api.CloseRegistersRequest(day=today, allow_open_day=True),
        metadata=bearer(operator_token),
        timeout=60,
    )
    listed = settlements.ListRegisters(
        settlements_api.ListRegistersRequest(bank_guid=bank.guid, role=settlement_pb2.REGISTER_ROLE_ALL),
        metadata=bearer(token),
        timeout=TIMEOUT,
    )
    return {
        "order": order.id,
        "guid": guid,
        "status": status,
        "refusal": refusal,
        "registers": [
            {"total": register.total_amount.amount_minor, "payments": register.payment_count}
            for register in listed.registers
        ],
        "callbacks": len(received),
    }


def refusal_of(error):
    metadata = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    ours, info = error_pb2.ErrorDetail(), error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(ours) and status.details[1].Unpack(info)
    return {
        "code": error.code().name,
        "reason": error_pb2.ErrorReason.Name(ours.reason),
        "payment_message_guid": ours.payment_message_guid,
        "standard": {"reason": info.reason, "domain": info.domain, "metadata": dict(info.metadata)},
    }


with tempfile.TemporaryDirectory() as folder:
    print(json.dumps(main()))
channel.close()
server.shutdown()
