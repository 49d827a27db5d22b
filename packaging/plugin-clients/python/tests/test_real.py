"""Against the real agent and the real control plane; see tests/setup/client-stage."""

import signal
import unittest

from plugmend_client import Client
from plugmend_client._spool import Spool
from support import Agent, api, database, needs_stage, ops, spooled, until


@needs_stage
class RealAgent(unittest.TestCase):
    def setUp(self):
        self.agent = Agent(self)

    def speaking(self, **options):
        client = Client(plugin_version="1.0.0", **options)
        self.addCleanup(client.close)
        return client

    def arrived(self, what):
        """A sum over what the control plane has of this plugin."""
        plugin = self.agent.status()["identity"]["plugin_id"]
        return database(f"SELECT {what} FROM plugin_telemetry WHERE plugin_id = '{plugin}'")

    def test_the_agent_counts_what_a_plugin_says_over_its_sockets(self):
        self.agent.start()
        before = self.arrived("coalesce(sum((custom->>'payments.failed')::float), 0)")
        client = self.speaking(socket=self.agent.socket, env={"shop": "4.2"})
        for ok in (True, False, True):
            client.webhook(ok)
        for _ in range(3):
            with client.observe():
                pass
        client.request(False, 30)
        client.payment(False)
        client.gauge("queue", 17)
        client.log_error("gateway", "time-out")
        heard = self.agent.heard(
            "all of it", lambda now: now["last_error"] and now["requests"] == 4 and now["webhook_total"] == 3
        )
        self.assertEqual((heard["errors"], heard["webhook_failed"], heard["version"]), (2, 1, "1.0.0"))
        self.assertEqual((heard["last_error"], client.dropped), ("gateway: time-out", 0))
        until(
            "the failed payment to reach the control plane",
            lambda: float(self.arrived("sum((custom->>'payments.failed')::float)") or 0) == float(before) + 1,
        )

    def test_and_over_udp(self):
        self.agent.start()
        client = self.speaking(udp=self.agent.udp)
        for n in range(40):
            client.request(n % 4 != 0, 12.5)
        client.error("only counted here")
        heard = self.agent.heard("all of it", lambda now: now["requests"] == 40 and now["errors"] == 11)
        self.assertIsNone(heard["last_error"])

    def test_what_was_said_while_the_agent_was_down_is_counted_when_it_is_back(self):
        before = [int(n or 0) for n in self.arrived("sum(requests), sum(errors), sum(webhook_failed)").split("|")]
        client = self.speaking(socket=self.agent.socket, spool_dir=self.agent.spool)
        for _ in range(7):
            client.request(False, 3)
            client.webhook(False)
            client.error("gone")
        self.assertEqual(client.dropped, 0)
        self.agent.start()
        spool = Spool(self.agent.spool)
        until("the spool to be empty", lambda: spool.hand_over() or not spooled(self.agent.spool))
        wanted = "|".join(str(n) for n in (before[0] + 7, before[1] + 14, before[2] + 7))
        until("the control plane to have them", lambda: self.arrived("sum(requests), sum(errors), sum(webhook_failed)") == wanted)

    def test_an_agent_that_is_stopped_in_its_tracks_costs_the_spool_not_the_plugin(self):
        self.agent.start()
        client = self.speaking(socket=self.agent.socket, spool_dir=self.agent.spool)
        self.agent.signal(signal.SIGSTOP)
        for _ in range(200):
            client.webhook(True)
        self.assertEqual(client.dropped, 0)
        self.assertTrue(spooled(self.agent.spool))
        self.agent.signal(signal.SIGCONT)
        self.agent.heard("what the sockets had taken", lambda now: now["webhook_total"] > 0)


@needs_stage
class RealControlPlane(unittest.TestCase):
    def test_without_an_agent_it_gets_the_heartbeat_gives_an_order_and_is_answered(self):
        merchant = ops("POST", "/api/ops/merchants", {"name": "A shop without agent"})["id"]
        plugin = ops("POST", "/api/ops/plugins", {"merchant_id": merchant, "product": "pay", "cms": "python"})["id"]
        secret = ops("POST", f"/api/ops/plugins/{plugin}/secret")["plugin_secret"]
        who = {"merchant_id": merchant, "plugin_id": plugin, "plugin_version": "1.0.0", "api_base": api()}
        changed = []
        client = Client(**who, plugin_secret=secret, commands={"config_update": lambda order: changed.append(order["config"])})
        self.addCleanup(client.close)
        self.assertEqual((client.mode, client.problem), ("agentless", None))
        for _ in range(3):
            client.log_error("gateway", "time-out")
        until(
            "the errors to be known",
            lambda: client.send_heartbeat() and ops("GET", f"/api/ops/plugins/{plugin}")["error_count_24h"] == 3,
        )
        order = ops("POST", f"/api/ops/plugins/{plugin}/commands", {"type": "config_update", "config": {"timeout_ms": 3000}})
        until(
            "the order to be done",
            lambda: client.send_heartbeat() and ops("GET", f"/api/ops/commands/{order['id']}")["status"] == "completed",
        )
        self.assertEqual(changed, [{"timeout_ms": 3000}])
        forged = Client(**who, plugin_secret="pms_forged")
        self.addCleanup(forged.close)
        self.assertFalse(forged.send_heartbeat())


if __name__ == "__main__":
    unittest.main()
