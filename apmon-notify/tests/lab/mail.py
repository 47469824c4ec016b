# Mail servers for the tests: plain, STARTTLS, TLS from the first byte, with a
# login. Each e-mail becomes a file with its envelope and its parsed content.
# Arguments: directory, certificate, key, port of the server with TLS (0: any).
import asyncio
import email
import email.policy
import json
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

directory, cert, key, tls_port = sys.argv[1:5]
accepted = 0


class Store:
    async def handle_DATA(self, server, session, envelope):
        global accepted
        accepted += 1
        parsed = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "login": session.auth_data.login.decode() if session.auth_data else None,
            "tls": session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None,
            "peer": session.peer[1],
            "headers": {name.lower(): str(value) for name, value in parsed.items()},
            "count": len(parsed.items()),
            "body": parsed.get_content().replace("\r\n", "\n"),
            "defects": [repr(defect) for defect in parsed.defects],
        }
        path = os.path.join(directory, f"{accepted:04}.json")
        with open(path + ".new", "w") as file:
            json.dump(mail, file)
        os.rename(path + ".new", path)
        return f"250 2.0.0 taken as {accepted}"


def context():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context


def login(server, session, envelope, mechanism, data):
    is_valid = data.login == b"apmon" and data.password == b"s3cret-p\xc3\xa4ss"
    return AuthResult(success=is_valid, handled=False, auth_data=data, message=None if is_valid else "535 5.7.8 no such user")


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
store = Store()
KINDS = {
    "plain": (lambda: SMTP(store, loop=loop, hostname="lab"), None),
    "starttls": (lambda: SMTP(store, loop=loop, hostname="lab", tls_context=context(), require_starttls=True), None),
    "tls": (lambda: SMTP(store, loop=loop, hostname="lab"), context()),
    "login": (
        lambda: SMTP(
            store, loop=loop, hostname="lab", tls_context=context(), require_starttls=True,
            auth_required=True, authenticator=login,
        ),
        None,
    ),
    "clear_login": (
        lambda: SMTP(
            store, loop=loop, hostname="lab", auth_require_tls=False, auth_required=True, authenticator=login,
        ),
        None,
    ),
}
ports = {}
for name, (factory, tls) in KINDS.items():
    server = loop.run_until_complete(loop.create_server(factory, "127.0.0.1", int(tls_port) if name == "tls" else 0, ssl=tls))
    ports[name] = server.sockets[0].getsockname()[1]
print(json.dumps(ports), flush=True)
loop.run_forever()
