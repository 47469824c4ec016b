# SMTP with STARTTLS on one port, with TLS from the first byte on another.
# Mail is accepted and discarded.
import asyncio
import ssl
import sys

from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP


def main(starttls, implicit, cert, key):
    def context():
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(cert, key)
        return context

    def with_starttls():
        return SMTP(Sink(), hostname="lab", loop=loop, tls_context=context())

    def inside_tls():
        return SMTP(Sink(), hostname="lab", loop=loop)

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    for port, factory, tls in [(starttls, with_starttls, None), (implicit, inside_tls, context())]:
        loop.run_until_complete(loop.create_server(factory, "127.0.0.1", int(port), ssl=tls))
    loop.run_forever()


main(*sys.argv[1:])
