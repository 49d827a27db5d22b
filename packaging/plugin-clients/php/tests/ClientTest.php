<?php

use Plugmend\PluginClient\Client;
use Plugmend\PluginClient\Quiet;

function types(array $events): array
{
    $types = array_column($events, 'type');
    sort($types);
    return $types;
}

function listener(string $address)
{
    return stream_socket_server($address, $number, $words, strncmp($address, 'unix', 4) === 0 ? 12 : STREAM_SERVER_BIND);
}

return [
    'nothing that a shop hands in makes a function throw' => static function () {
        $hostile = new class {
            public function __toString()
            {
                throw new Exception('hostile');
            }
        };
        $odd = [null, true, -1, NAN, '', str_repeat('x', 1000000), "\xff", [], [[]], $hostile, static function () {}, new stdClass()];
        $all = array_merge($odd, [['socket' => '/nonexistent'], ['udp' => 'example.org:1'], ['spool_dir' => '/nonexistent']]);
        foreach ($all as $options) {
            $client = new Client($options);
            foreach ($odd as $a) {
                foreach ($odd as $b) {
                    foreach (['request', 'error', 'webhook', 'payment', 'count', 'gauge', 'logError', 'trackWebhookCall'] as $name) {
                        same(null, $client->$name($a, $b));
                    }
                }
            }
            foreach (['request', 'error', 'count', 'gauge', 'logError', 'hello', 'flush', 'finish'] as $name) {
                same(null, $client->$name());
            }
            holds($client->dropped() > 0, 'what nobody took is counted');
        }
    },
    'the shop\'s error handler and its last error are left alone' => static function () {
        // The runner's own handler throws: a warning of ours would end this test.
        error_clear_last();
        $client = new Client(['socket' => '/nonexistent/a.sock', 'spool_dir' => '/nonexistent']);
        $client->webhook(true);
        $client->error('words');
        $client->flush();
        same(null, error_get_last());
        same(2, $client->dropped());
    },
    'the shop\'s random numbers are left alone' => static function () {
        $dir = folder();
        mt_srand(42);
        $wanted = [mt_rand(), mt_rand()];
        mt_srand(42);
        $got = [mt_rand()];
        for ($n = 0; $n < 20; $n++) {
            $client = new Client(['spool_dir' => $dir]);
            $client->request(true);
            $client->finish();
        }
        $got[] = mt_rand();
        same($wanted, $got);
    },
    'one request is one datagram' => static function () {
        $path = folder() . '/agent.sock';
        $datagrams = listener("udg://$path.dgram");
        $client = new Client(['socket' => $path, 'version' => '1.2.3']);
        $client->request(true, 12);
        $client->webhook(false);
        $client->payment(false);
        $client->flush();
        stream_set_blocking($datagrams, false);
        same(
            "requests:1|c|#ok:true,version:1.2.3\nlatency:12.0|ms\nwebhook:1|c|#ok:false,version:1.2.3\n"
                . "payments:1|c\npayments.failed:1|c\n",
            str_replace('latency:12|', 'latency:12.0|', stream_socket_recvfrom($datagrams, 9000))
        );
        same([0, ''], [$client->dropped(), (string) stream_socket_recvfrom($datagrams, 9000)]);
    },
    'words go over the stream socket, and are counted by datagram where that is closed' => static function () {
        $path = folder() . '/agent.sock';
        $datagrams = listener("udg://$path.dgram");
        $stream = listener("unix://$path");
        $client = new Client(['socket' => $path]);
        $client->logError('gateway', 'time-out');
        $client->flush();
        same("{\"type\":\"error\",\"message\":\"gateway: time-out\"}\n", stream_get_contents(stream_socket_accept($stream, 1)));
        fclose($stream);
        $client->error('again');
        $client->flush();
        same("errors:1|c\n", stream_socket_recvfrom($datagrams, 9000));
        same(0, $client->dropped());
    },
    'a receiver that does not read costs the spool, not the shop' => static function () {
        [$path, $dir] = [folder() . '/agent.sock', folder()];
        $datagrams = listener("udg://$path.dgram");
        $stream = listener("unix://$path");
        for ($n = 0; $n < 2000; $n++) {
            $client = new Client(['socket' => $path, 'spool_dir' => $dir]);
            $client->webhook(true);
            $client->error('words');
            $client->flush();
            same(0, $client->dropped());
        }
        $spooled = count(spooled($dir));
        stream_set_blocking($datagrams, false);
        $lines = '';
        while (($datagram = (string) stream_socket_recvfrom($datagrams, 9000)) !== '') {
            $lines .= $datagram;
        }
        $by_datagram = substr_count($lines, "\n");
        $by_stream = 0;
        stream_set_blocking($stream, false);
        $accept = static function () use ($stream) {
            return stream_socket_accept($stream, 0);
        };
        while ($taken = Quiet::run($accept, false)) {
            $by_stream += substr_count(stream_get_contents($taken), "\n");
        }
        holds($spooled > 0 && $by_datagram > 0 && $by_stream > 0, 'all ways were used');
        same(4000, $spooled + $by_datagram + $by_stream, 'each event was said once');
    },
    'a process that never ends hands over as it goes' => static function () {
        $dir = folder();
        $client = new Client(['spool_dir' => $dir]);
        for ($n = 0; $n < 120; $n++) {
            $client->webhook(true);
        }
        same(100, count(spooled($dir)));
    },
    'a child process does not say again what its parent had to say' => static function () {
        if (!function_exists('pcntl_fork')) {
            throw new Skipped('needs the extension pcntl');
        }
        $dir = folder();
        php('$c = new Plugmend\PluginClient\Client(["spool_dir" => ' . var_export($dir, true) . ']);
            $c->webhook(true); if (pcntl_fork() === 0) { $c->error("child"); exit; } pcntl_wait($s);');
        same(['error', 'webhook'], types(spooled($dir)));
    },
    'the syntax and functions are those of PHP 7.4' => static function () {
        $newer = ['T_MATCH', 'T_NULLSAFE_OBJECT_OPERATOR', 'T_ATTRIBUTE', 'T_ENUM', 'T_READONLY'];
        $functions = ['str_contains', 'str_starts_with', 'str_ends_with', 'get_debug_type', 'array_is_list', 'fsync', 'fdiv'];
        $root = dirname(__DIR__);
        foreach (array_merge(glob("$root/src/*.php"), glob("$root/wordpress/*.php"), ["$root/autoload.php"]) as $file) {
            foreach (token_get_all(file_get_contents($file)) as $token) {
                if (is_array($token)) {
                    holds(!in_array(token_name($token[0]), $newer, true), "$file: $token[1]");
                    holds($token[0] !== T_STRING || !in_array($token[1], $functions, true), "$file: $token[1]");
                }
            }
        }
    },
];
