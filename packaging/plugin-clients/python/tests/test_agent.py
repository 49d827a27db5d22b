import contextlib
import os
import random
import socket
import threading
import unittest
from pathlib import Path

import plugmend_client
from plugmend_client import Client
from plugmend_client._spool import Spool
from support import folder, spooled

SAYING = ("request", "error", "webhook", "payment", "count", "gauge", "log_error", "track_webhook_call")


def listener(test, path, kind):
    made = socket.socket(socket.AF_UNIX, kind)
    made.bind(path)
    if kind == socket.SOCK_STREAM:
        made.listen(8)
    made.setblocking(False)
    test.addCleanup(made.close)
    return made


def datagrams(receiver):
    """Everything that waits there."""
    got = []
    with contextlib.suppress(BlockingIOError):
        while True:
            got.append(receiver.recv(9000).decode())
    return got


def taken(stream):
    """What the next connection said."""
    connection, _ = stream.accept()
    with connection:
        return connection.recv(9000).decode()


class Harmless(unittest.TestCase):
    def test_nothing_that_a_shop_hands_in_makes_a_function_raise(self):
        class Hostile:
            def __str__(self):
                raise RuntimeError("hostile")

            __eq__ = __hash__ = __bool__ = __getattr__ = __str__

        odd = (None, True, -1, float("nan"), "", "x" * 1_000_000, "\ud800", b"\xff", [], {}, Hostile(), object(), 10**400)
        options = [{name: value} for name in ("socket", "udp", "spool_dir", "env", "merchant_id") for value in odd]
        for given in [*options, {"socket": "/nonexistent"}, {"socket": "/" + "x" * 500}, {"udp": "127.0.0.1:9"}]:
            client = Client(**given)
            for value in odd:
                for name in SAYING:
                    self.assertIsNone(getattr(client, name)(value, value))
                    self.assertIsNone(getattr(client, name)())
                    self.assertIsNone(getattr(client, name)(1, 2, 3, 4))
            client.close()

    def test_the_shops_own_exceptions_go_on(self):
        with self.assertRaises(KeyError), Client(udp="127.0.0.1:9").observe():
            raise KeyError("the shop's")

    def test_addresses_that_are_not_on_this_machine_are_refused(self):
        for udp in ("8.8.8.8:8125", "localhost:8125", "[2001:db8::1]:8125", "127.0.0.1:0", "127.999.1.1:1", 7):
            client = Client(udp=udp)
            self.assertEqual((client.mode, "loopback" in client.problem), ("off", True))

    def test_the_shops_random_numbers_are_left_alone(self):
        directory = folder(self)
        random.seed(42)
        wanted = random.random()
        random.seed(42)
        Client(spool_dir=directory).webhook(True)
        self.assertEqual(random.random(), wanted)


class Ways(unittest.TestCase):
    def setUp(self):
        self.path = folder(self) + "/agent.sock"
        self.spool = folder(self)

    def test_an_event_is_a_datagram(self):
        receiver = listener(self, self.path + ".dgram", socket.SOCK_DGRAM)
        client = Client(socket=self.path, plugin_version="1.2.3")
        client.webhook(False)
        with client.observe():
            pass
        first, second = datagrams(receiver)
        self.assertEqual(first, "webhook:1|c|#ok:false,version:1.2.3\n")
        self.assertTrue(second.startswith("requests:1|c|#ok:true,version:1.2.3\nlatency:"))
        # Only the hello found nobody.
        self.assertEqual(client.dropped, 1)

    def test_words_go_over_the_stream_socket_and_are_counted_by_datagram_where_that_is_closed(self):
        receiver = listener(self, self.path + ".dgram", socket.SOCK_DGRAM)
        stream = listener(self, self.path, socket.SOCK_STREAM)
        client = Client(socket=self.path)
        client.log_error("gateway", "time-out")
        hello, error = taken(stream), taken(stream)
        self.assertIn('"type":"hello"', hello)
        self.assertEqual(error, '{"type":"error","message":"gateway: time-out"}\n')
        stream.close()
        client.error("again")
        self.assertEqual(datagrams(receiver), ["errors:1|c\n"])

    def test_a_receiver_that_does_not_read_costs_the_spool_not_the_shop(self):
        receiver = listener(self, self.path + ".dgram", socket.SOCK_DGRAM)
        client = Client(socket=self.path, spool_dir=self.spool)
        for _ in range(500):
            client.webhook(True)
        kept, sent = len(spooled(self.spool)), len(datagrams(receiver))
        self.assertEqual((kept + sent, client.dropped), (500, 0))
        self.assertTrue(kept and sent)

    def test_several_threads_lose_and_double_nothing(self):
        client = Client(spool_dir=self.spool)
        threads = [threading.Thread(target=lambda: [client.webhook(True) for _ in range(200)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(spooled(self.spool)) + client.dropped, 1600)

    def test_a_client_goes_on_in_a_child_process(self):
        client = Client(spool_dir=self.spool)
        child = os.fork()
        if child == 0:
            client.webhook(True)
            os._exit(0)
        os.waitpid(child, 0)
        self.assertEqual([event["type"] for event in spooled(self.spool)], ["webhook"])


class SpoolFiles(unittest.TestCase):
    def setUp(self):
        self.folder = folder(self)
        self.spool = Spool(self.folder)

    def test_a_spool_that_nobody_empties_stops_growing_at_2_mib(self):
        taken = sum(self.spool.append("x" * 7999 + "\n") for _ in range(400))
        sizes = [file.stat().st_size for file in Path(self.folder).iterdir()]
        self.assertTrue(taken < 400 and sum(sizes) <= 2 * 1024 * 1024 and max(sizes) <= 262_144)

    def test_when_the_agent_has_taken_a_file_what_waits_is_handed_over(self):
        for _ in range(100):
            self.spool.append("{}\n")
        for file in Path(self.folder).glob("*.ndjson"):
            file.unlink()
        self.spool.hand_over()
        self.assertEqual({file.suffix for file in Path(self.folder).iterdir()}, {".ndjson"})

    def test_a_link_in_the_spool_is_not_written_through(self):
        target = Path(folder(self), "target")
        target.touch()
        for slot in range(4):
            os.symlink(target, f"{self.folder}/plugmend-{slot}.part")
        self.assertFalse(self.spool.append("{}\n"))
        self.assertEqual(target.stat().st_size, 0)

    def test_a_spool_that_is_not_there_takes_nothing(self):
        self.assertFalse(Spool("/nonexistent").append("{}\n"))


class Environment(unittest.TestCase):
    def setUp(self):
        self.addCleanup(plugmend_client.init)
        self.addCleanup(os.environ.pop, "MOLAM_PLUGIN_CONFIG", None)

    def test_it_names_the_agent_and_options_win_over_it(self):
        os.environ["MOLAM_PLUGIN_CONFIG"] = '{"socket": "/nonexistent/a.sock", "pluginVersion": "9.9.9"}'
        self.assertEqual(plugmend_client.init().mode, "agent")
        self.assertEqual(plugmend_client.init(socket=None, udp="nowhere").mode, "off")
        os.environ["MOLAM_PLUGIN_CONFIG"] = "not json"
        self.assertEqual(plugmend_client.init().mode, "off")

    def test_before_init_the_functions_do_nothing(self):
        for name in SAYING:
            self.assertIsNone(getattr(plugmend_client, name)())
        with plugmend_client.observe():
            pass


if __name__ == "__main__":
    unittest.main()
