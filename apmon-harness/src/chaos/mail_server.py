# A real mail server (aiosmtpd) that keeps accepted mail in a real Maildir.
# At each step it asks the rig how to behave over the control port: it sends a
# line of JSON and reads one. Arguments: address, port, control port, Maildir.
import asyncio
import json
import mailbox
import sys
from email import message_from_bytes, policy

from aiosmtpd.smtp import SMTP

host, port, control, place = sys.argv[1:5]
box = mailbox.Maildir(place)


async def ask(step, **fields):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(control))
    writer.write((json.dumps({"step": step, **fields}) + "\n").encode())
    answer = json.loads(await reader.readline())
    writer.close()
    return answer


def parts(content):
    mail = message_from_bytes(content, policy=policy.default)
    return {
        "id": str(mail["Message-ID"]),
        "first": str(mail["References"] or mail["Message-ID"]),
        "subject": str(mail["Subject"]),
        "text": mail.get_content().split("\n")[0].strip(),
    }


class Receiver:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if (await ask("recipient"))["act"] == "busy":
            return "452 4.3.1 too busy"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        answer = await ask("mail", to=envelope.rcpt_tos[0], **parts(envelope.original_content))
        act = answer["act"]
        if act in ("take", "cut"):
            mail = mailbox.MaildirMessage(envelope.original_content)
            mail["X-Accepted-At"] = str(answer["at"])
            mail["X-Accepted-For"] = envelope.rcpt_tos[0]
            box.add(mail)
        if act in ("cut", "drop"):
            server.transport.abort()
        if act == "take":
            return "250 2.0.0 accepted"
        return "451 4.3.0 not now"


class Server(SMTP):
    async def _handle_client(self):
        answer = await ask("greet")
        if answer["act"] == "hang":
            await asyncio.sleep(60)
        elif answer["act"] == "late":
            await asyncio.sleep(answer["millis"] / 1000)
        await super()._handle_client()


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
receiver = Receiver()
loop.run_until_complete(loop.create_server(lambda: Server(receiver, loop=loop, hostname="chaos"), host, int(port)))
loop.run_forever()
