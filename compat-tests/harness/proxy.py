"""Proxy: a faulty network between a client and a broker.

    with Proxy(broker.port) as proxy:
        broker.settings["advertised.listeners"] = f"PLAINTEXT://127.0.0.1:{proxy.port}"
        proxy.delay(0.2)            # each direction, each piece
        proxy.byte_by_byte(True)    # pieces of one byte
        proxy.stall("to_broker")    # one way: bytes are taken and go nowhere
        proxy.reset(after=100)      # RST to both sides once that many more bytes passed, mid-frame
        proxy.heal()                # as if nothing had been

Threads: the proxy's event loop runs in a thread of its own; the methods may be called from any.
"""

import asyncio
import contextlib
import socket
import struct
import threading

from .brokers import free_port

DIRECTIONS = ("to_broker", "to_client")
WAIT = 120      # Seconds, for the proxy's own thread.


class Proxy:
    def __init__(self, target_port):
        self.target_port = target_port
        self.port = free_port()
        self.connections = 0            # accepted so far
        self.resets = 0                 # connections cut so far
        self._delay = 0.0
        self._piece = 65536
        self._stalled = set()
        self._left = None               # bytes until the next reset
        self._writers = set()
        self._loop = asyncio.new_event_loop()
        self._healed = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()

    def __enter__(self):
        self._thread.start()
        if not self._ready.wait(WAIT):
            raise RuntimeError(f"the proxy for port {self.target_port} does not listen on {self.port}")
        return self

    def __exit__(self, *_):
        self._call(self._stop)
        self._thread.join(WAIT)

    def delay(self, seconds):
        self._call(lambda: setattr(self, "_delay", seconds))

    def byte_by_byte(self, on):
        self._call(lambda: setattr(self, "_piece", 1 if on else 65536))

    def stall(self, *directions):
        """Bytes of these directions are taken and kept until heal(): a half-open connection."""
        def change():
            self._stalled = set(directions)
            self._healed.clear()
        self._call(change)

    def reset(self, after):
        self._call(lambda: setattr(self, "_left", after))

    def cut(self):
        """RST on every connection now."""
        self._call(self._reset_all)

    def heal(self):
        def change():
            self._delay, self._piece, self._left = 0.0, 65536, None
            self._stalled = set()
            self._healed.set()
        self._call(change)

    def _call(self, change):
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (change(), done.set()))
        if not done.wait(WAIT):
            raise RuntimeError(f"the proxy for port {self.target_port} does nothing")

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self):
        self._healed = asyncio.Event()
        self._healed.set()
        self._stopped = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self._ready.set()
        await self._stopped.wait()
        server.close()
        self._reset_all()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _stop(self):
        self._healed.set()
        self._stopped.set()

    async def _accept(self, client_reader, client_writer):
        self.connections += 1
        try:
            broker_reader, broker_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            client_writer.transport.abort()
            return
        pair = (client_writer, broker_writer)
        self._writers.add(pair)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await asyncio.gather(self._pump(client_reader, broker_writer, "to_broker", pair),
                                 self._pump(broker_reader, client_writer, "to_client", pair))
        self._writers.discard(pair)
        for writer in pair:
            writer.close()

    async def _pump(self, reader, writer, direction, pair):
        while data := await reader.read(65536):
            at = 0
            while at < len(data):
                if direction in self._stalled:
                    await self._healed.wait()
                if self._delay:
                    await asyncio.sleep(self._delay)
                piece = data[at:at + self._piece]
                if self._left is not None:
                    self._left -= len(piece)
                    if self._left <= 0:
                        self._left = None
                        writer.write(piece[:len(piece) // 2])
                        self._reset(pair)
                        return
                writer.write(piece)
                await writer.drain()
                at += len(piece)
        with contextlib.suppress(OSError):
            writer.write_eof()

    def _reset(self, pair):
        self.resets += 1
        self._writers.discard(pair)
        for writer in pair:
            raw = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def _reset_all(self):
        for pair in list(self._writers):
            self._reset(pair)
