# A real mail server (aiosmtpd) that keeps accepted mail in a real Maildir.
# At each step it asks the rig how to behave over the control port: it sends a
# line and reads a line. Arguments: address, port, control port, Maildir.
import asyncio
import mailbox
import sys

from aiosmtpd.smtp import SMTP

host, port, control, place = sys.argv[1:5]
box = mailbox.Maildir(place)


async def ask(*words):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(control))
    writer.write((" ".join(words) + "\n").encode())
    answer = (await reader.readline()).decode().split()
    writer.close()
    return answer


class Receiver:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if (await ask("to", address))[0] == "busy":
            return "452 4.3.1 too busy"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        word, at = await ask("mail", envelope.rcpt_tos[0])
        if word in ("take", "cut"):
            mail = mailbox.MaildirMessage(envelope.original_content)
            mail["X-Accepted-At"] = at
            mail["X-Accepted-For"] = envelope.rcpt_tos[0]
            box.add(mail)
        if word in ("cut", "drop"):
            server.transport.abort()
        if word == "take":
            return "250 2.0.0 accepted"
        return "451 4.3.0 not now"


class Server(SMTP):
    async def _handle_client(self):
        word, millis = await ask("greet")
        if word == "hang":
            await asyncio.sleep(60)
        elif word == "drop":
            self.transport.abort()
            return
        else:
            await asyncio.sleep(int(millis) / 1000)
        await super()._handle_client()


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
receiver = Receiver()
loop.run_until_complete(loop.create_server(lambda: Server(receiver, loop=loop, hostname="chaos"), host, int(port)))
loop.run_forever()
