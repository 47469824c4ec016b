"""Servers that send at full speed and without end.

Arguments: the folder of cert.pem and key.pem, and NAME=PORT for each server.
"""
import socket, ssl, struct, sys, threading


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


PAGE = frame(1, 4, 1, b"\x88")
GZIP = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n"
MEMBER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x03\0\0\0\0\0\0\0\0\0"
# What each sends once, and then again and again; and whether that is HTTP/2.
FLOODS = {
    "interim2": (b"", frame(1, 4, 1, b"\x48\x03100"), True),
    "windows": (PAGE, frame(8, 0, 0, b"\0\0\0\1"), True),
    "letters": (PAGE, frame(0, 0, 1, b"x"), True),
    "interim1": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", False),
    "members": (GZIP, MEMBER, False),
}


def exactly(connection, count):
    received = b""
    while len(received) < count:
        piece = connection.recv(count - len(received))
        if not piece:
            raise OSError("closed")
        received += piece
    return received


def request(connection, is_http2):
    """Reads a request: in HTTP/2 until its head has come, else the first bytes."""
    if not is_http2:
        return connection.recv(4096)
    exactly(connection, 24)
    while True:
        header = exactly(connection, 9)
        exactly(connection, int.from_bytes(header[:3], "big"))
        if header[3] == 1:
            return None


def drain(connection):
    try:
        while connection.recv(65536):
            pass
    except OSError:
        pass


def serve(connection, context, flood):
    once, again, is_http2 = flood
    try:
        connection.settimeout(10)
        if is_http2:
            connection = context.wrap_socket(connection, server_side=True)
            connection.sendall(frame(4, 0, 0, b""))
        request(connection, is_http2)
        threading.Thread(target=drain, args=(connection,), daemon=True).start()
        connection.sendall(once)
        piece = again * (64 * 1024 // len(again))
        while True:
            connection.sendall(piece)
    except OSError:
        pass
    finally:
        connection.close()


def listen(port, context, flood):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(64)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, context, flood), daemon=True).start()


folder = sys.argv[1]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder + "/cert.pem", folder + "/key.pem")
context.set_alpn_protocols(["h2"])
servers = []
for argument in sys.argv[2:]:
    name, port = argument.split("=")
    servers.append(threading.Thread(target=listen, args=(int(port), context, FLOODS[name])))
    servers[-1].start()
