import json
import os
import platform
import unittest

from plugmend_client import Client
from support import server, until

WHO = {
    "merchant_id": "0198c0de-0000-7000-8000-000000000001",
    "plugin_id": "0198c0de-0000-7000-8000-000000000002",
    "plugin_secret": "pms_secret",
    "plugin_version": "1.2.3",
}
ORDER = {
    "id": "0198c0de-0000-7000-8000-00000000000a",
    "type": "config_update",
    "payload": {"config": {"a": 1}, "generation": 7},
}
FINE = (200, {}, b'{"ok": true, "commands": []}')


class Agentless(unittest.TestCase):
    def speaking(self, answer=lambda path: FINE, **options):
        address, requests = server(self, answer)
        client = Client(**{**WHO, "api_base": address, **options})
        self.assertEqual((client.mode, client.problem), ("agentless", None))
        self.addCleanup(client.close)
        until("the first heartbeat", lambda: requests)
        return client, requests

    def test_a_heartbeat_has_the_reference_shape(self):
        client, requests = self.speaking(env={"shop": "4.2"})
        client.log_error("gateway", "time-out")
        client.request(False, 12)
        client.request(True, 12)
        for ok in (True, False, False, True, True):
            client.track_webhook_call(ok)
        self.assertTrue(client.send_heartbeat())
        path, headers, body = requests[-1]
        self.assertEqual(path, "/api/plugins/heartbeat")
        self.assertEqual((headers["authorization"], headers["x-plugin-version"]), ("Bearer pms_secret", "1.2.3"))
        self.assertIsInstance(body.pop("uptime"), int)
        self.assertRegex(body.pop("timestamp"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(
            body,
            {
                "plugin_id": WHO["plugin_id"],
                "merchant_id": WHO["merchant_id"],
                "plugin_version": "1.2.3",
                "env": {"python": platform.python_version(), "shop": "4.2"},
                "errors_last_24h": 2,
                "webhook_fail_rate": 0.4,
                "capabilities": [],
            },
        )

    def test_without_deliveries_no_fail_rate_is_claimed(self):
        _, requests = self.speaking()
        self.assertNotIn("webhook_fail_rate", requests[0][2])

    def test_an_order_is_carried_out_by_its_handler_once_and_answered_each_time_it_comes(self):
        done = []

        def change(payload):
            done.append(payload["config"])
            return object

        orders = (200, {}, json.dumps({"ok": True, "commands": [ORDER]}).encode())
        client, requests = self.speaking(
            lambda path: orders if path.endswith("heartbeat") else FINE, commands={"config_update": change}
        )
        client.send_heartbeat()
        client.send_heartbeat()
        acks = [body for path, _, body in requests if path == f"/api/plugins/commands/{ORDER['id']}/ack"]
        self.assertEqual(done, [{"a": 1}])
        self.assertGreaterEqual(len(acks), 2)
        # What JSON has no words for is told as text.
        self.assertEqual(acks[0], {"result": "<class 'object'>", "generation": 7})
        self.assertEqual(requests[0][2]["capabilities"], ["config_update"])

    def test_an_order_that_fails_or_that_nobody_handles_is_reported_as_failed(self):
        def refuse(_):
            raise OSError("read-only")

        client, requests = self.speaking(commands={"config_update": refuse})
        client.process_commands([ORDER, {**ORDER, "id": "abc", "type": "restart"}, None, {"id": "../x", "type": "restart"}])
        fails = [body for path, _, body in requests if path.endswith("/fail")]
        self.assertEqual(fails[0], {"error": "failed: OSError: read-only", "generation": 7})
        self.assertEqual((len(fails), fails[1]["retryable"]), (2, False))

    def test_a_control_plane_that_is_gone_hostile_or_talks_nonsense_costs_nothing_but_the_heartbeat(self):
        answers = [
            (500, {}, b""),
            (302, {"Location": "http://127.0.0.1:1/"}, b""),
            (200, {}, b"not json"),
            (200, {}, b'"words"'),
            (200, {}, b'{"commands": {"length": 1}, "tuning": 7}'),
            (200, {}, b"x" * 300_000),
        ]
        turn = iter(answers * 3)
        client, _ = self.speaking(lambda path: next(turn, FINE))
        for _ in answers:
            self.assertIn(client.send_heartbeat(), (True, False))
        gone = Client(**WHO, api_base="http://127.0.0.1:9")
        self.addCleanup(gone.close)
        self.assertFalse(gone.send_heartbeat())

    def test_the_secret_is_never_sent_in_the_clear_or_to_nowhere(self):
        for api_base in ("http://control.example", "ftp://127.0.0.1", "https://user:pw@control.example", "words", None):
            client = Client(**WHO, api_base=api_base)
            self.assertEqual((client.mode, "api_base" in client.problem), ("off", True))
        for name, value in (("merchant_id", "x"), ("plugin_secret", "two words"), ("plugin_version", None)):
            client = Client(**{**WHO, "api_base": "https://control.example", name: value})
            self.assertEqual(client.mode, "off")
            self.assertIn(name, client.problem)
            self.assertNotIn("two words", client.problem)

    def test_a_child_process_speaks_for_itself(self):
        client, requests = self.speaking()
        client.error("the parent's")
        child = os.fork()
        if child == 0:
            client.error("the child's")
            client.error("the child's")
            client.send_heartbeat()
            os._exit(0)
        os.waitpid(child, 0)
        self.assertIn(2, [body["errors_last_24h"] for _, _, body in requests])
        self.assertNotIn(3, [body["errors_last_24h"] for _, _, body in requests])


if __name__ == "__main__":
    unittest.main()
