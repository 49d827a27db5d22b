<?php

use Plugmend\PluginClient\Event;
use Plugmend\PluginClient\Fatal;
use Plugmend\PluginClient\Notation;

function without_time(array $event): string
{
    return Notation::json($event, '1.2.3', false);
}

return [
    'a request is one metric, and two when it says how long it took' => static function () {
        same("requests:1|c|#ok:true,version:1.2.3\n", Notation::statsd(Event::request(true, null), '1.2.3'));
        same("requests:1|c|#ok:false\nlatency:12.5|ms\n", Notation::statsd(Event::request(false, 12.5), null));
        same("{\"type\":\"request\",\"ok\":true,\"ms\":12.5,\"version\":\"1.2.3\"}\n", without_time(Event::request(true, 12.5)));
    },
    'a webhook, an error, a counter and a gauge have the names that the detectors know' => static function () {
        same("webhook:1|c|#ok:false\n", Notation::statsd(Event::webhook(false), null));
        same("errors:1|c\n", Notation::statsd(Event::error('words'), null));
        same("payments:2|c\n", Notation::statsd(Event::counter('payments', 2), null));
        same("queue:-1.5|g\n", Notation::statsd(Event::gauge('queue', -1.5), null));
        same("{\"type\":\"error\",\"message\":\"time-out\",\"version\":\"1.2.3\"}\n", without_time(Event::error('time-out')));
        same('', Notation::statsd(Event::hello(['php' => '8.2']), '1.2.3'));
    },
    'a line of the spool says when it happened' => static function () {
        $event = ['at' => 1795348800] + Event::webhook(true);
        same("{\"type\":\"webhook\",\"ok\":true,\"at\":\"2026-11-22T12:00:00Z\"}\n", Notation::json($event, null, true));
    },
    'names, numbers and times that are not in order are refused before they are sent' => static function () {
        foreach (['', '9lives', 'a b', 'a|b', "a\n", str_repeat('x', 91), null, [], 7] as $name) {
            same(null, Event::counter($name, 1));
            same(null, Event::gauge($name, 1));
        }
        foreach ([NAN, INF, -1, '1', null, []] as $value) {
            same(null, Event::counter('orders', $value));
        }
        foreach ([NAN, -1, 86400001, '5', null] as $ms) {
            same(false, isset(Event::request(true, $ms)['ms']));
        }
        foreach (['', 'a,b', "1.0\n", str_repeat('v', 65), 7, null] as $version) {
            same(null, Event::version($version));
        }
    },
    'numbers have a point in every locale' => static function () {
        $before = setlocale(LC_NUMERIC, '0');
        setlocale(LC_NUMERIC, 'de_DE.UTF-8', 'fr_FR.UTF-8', 'de_DE', 'fr_FR');
        same("queue:1.5|g\n", Notation::statsd(Event::gauge('queue', 1.5), null));
        setlocale(LC_NUMERIC, $before);
    },
    'no line is longer than the agent reads, and each is UTF-8' => static function () {
        $worst = str_repeat("\x01", 10000);
        $env = [];
        for ($n = 0; $n < 50; $n++) {
            $env[str_repeat('e', 37) . $n] = $worst;
        }
        foreach ([Event::hello($env), Event::error($worst), Event::error("a\xffb\xe2\x82")] as $event) {
            $line = Notation::json($event, str_repeat('v', 64), true);
            holds(strlen($line) <= 8192 && preg_match('//u', $line) === 1, $line);
        }
    },
    'the words of an error are its first line, from whatever a plugin has at hand' => static function () {
        same('payment: declined', Event::words('payment', new Exception("declined\n#0 pay('4242')")));
        same('payment: declined', Event::words('payment', ['message' => 'declined', 'card' => '4242']));
        same('payment', Event::words('payment', ['card' => '4242']));
        same('declined', Event::error(new Exception("declined\n#0"))['message']);
    },
    'a fatal error is told by its first line and place' => static function () {
        $error = ['type' => E_ERROR, 'message' => "Uncaught Exception: no\n#0 pay('4242')", 'file' => '/a/pay.php', 'line' => 7];
        same('Uncaught Exception: no (pay.php:7)', Fatal::words($error));
        same(null, Fatal::words(['type' => E_WARNING] + $error));
        same(null, Fatal::words(null));
    },
    'a fatal error is the plugin\'s own when it lies in its folder or in a release beside it' => static function () {
        $in = static function (string $file, string $path) {
            return Fatal::isIn(['file' => $file], $path);
        };
        same(true, $in('/s/plugins/pay/a.php', '/s/plugins/pay/'));
        same(true, $in('/s/plugins/.plugmend-pay/versions/1/a.php', '/s/plugins/pay'));
        same(false, $in('/s/plugins/pay-more/a.php', '/s/plugins/pay'));
        same(true, $in('/anywhere.php', ''));
    },
];
