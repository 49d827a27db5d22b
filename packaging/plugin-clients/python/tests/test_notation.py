import unittest

from plugmend_client import _events as event
from plugmend_client._notation import json, statsd
from plugmend_client._rolling import Rolling


class Notation(unittest.TestCase):
    def test_a_request_is_one_metric_and_two_when_it_says_how_long_it_took(self):
        self.assertEqual(statsd(event.request(True, None), "1.2.3"), "requests:1|c|#ok:true,version:1.2.3\n")
        self.assertEqual(statsd(event.request(False, 12.5), None), "requests:1|c|#ok:false\nlatency:12.5|ms\n")
        line = json(event.request(True, 12), "1.2.3", False)
        self.assertEqual(line, '{"type":"request","ok":true,"ms":12.0,"version":"1.2.3"}\n')

    def test_a_webhook_an_error_a_counter_and_a_gauge_have_the_names_that_the_detectors_know(self):
        self.assertEqual(statsd(event.webhook(False), None), "webhook:1|c|#ok:false\n")
        self.assertEqual(statsd(event.error("words"), None), "errors:1|c\n")
        self.assertEqual(statsd(event.counter("payments", 2), None), "payments:2|c\n")
        self.assertEqual(statsd(event.gauge("queue", -1.5), None), "queue:-1.5|g\n")
        self.assertEqual(statsd(event.hello({"a": "1"}), "1.2.3"), "")

    def test_a_line_of_the_spool_says_when_it_happened(self):
        line = json({**event.webhook(True), "at": 1795348800.9}, None, True)
        self.assertEqual(line, '{"type":"webhook","ok":true,"at":"2026-11-22T12:00:00Z"}\n')

    def test_names_numbers_and_times_that_are_not_in_order_are_refused_before_they_are_sent(self):
        for name in ("", "9lives", "a b", "a|b", "a\n", "x" * 91, None, [], 7):
            self.assertIsNone(event.counter(name, 1))
            self.assertIsNone(event.gauge(name, 1))
        for value in (float("nan"), float("inf"), -1, "1", None, True, 10**400):
            self.assertIsNone(event.counter("orders", value))
        for ms in (float("nan"), -1, 86_400_001, "5", None):
            self.assertNotIn("ms", event.request(True, ms))
        for bad in ("", "a,b", "1.0\n", "v" * 65, 7, None):
            self.assertIsNone(event.version(bad))

    def test_no_line_is_longer_than_the_agent_reads_and_each_is_utf_8(self):
        worst = "\x01" * 10_000
        env = {f"{'e' * 37}{n}": worst for n in range(50)}
        for said in (event.hello(env), event.error(worst), event.error("a\ud800b"), event.error("😀" * 500)):
            self.assertLessEqual(len(json(said, "v" * 64, True).encode()), 8192)
        self.assertEqual(len(event.env(env)), 16)

    def test_the_words_of_an_error_are_its_first_line_from_whatever_a_plugin_has_at_hand(self):
        self.assertEqual(event.words("payment", ValueError("declined\n4242")), "payment: ValueError: declined")
        self.assertEqual(event.words("payment", {"message": "declined", "card": "4242"}), "payment: declined")
        self.assertEqual(event.words("payment", {"card": "4242"}), "payment")
        self.assertEqual(event.error(KeyError("a"))["message"], "KeyError: 'a'")


class Sums(unittest.TestCase):
    def test_a_rolling_sum_forgets_what_is_older_than_its_span(self):
        errors = Rolling(24, 1)
        errors.add(0.5, 3)
        errors.add(1.5, 4)
        self.assertEqual([errors.sum(1.5), errors.sum(24.1), errors.sum(25.1)], [7, 4, 0])
        errors.add(1e9, 1)
        self.assertEqual(errors.sum(1e9), 1)


if __name__ == "__main__":
    unittest.main()
