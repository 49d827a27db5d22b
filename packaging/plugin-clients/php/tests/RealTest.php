<?php

// Against the real agent; see tests/setup/client-stage.

use Plugmend\PluginClient\Client;

function options(): array
{
    $home = stage() . '/php';
    return ['version' => '1.0.0', 'socket' => "$home/agent.sock", 'spool_dir' => "$home/spool"];
}

/** PHP's own server, as a shop that starts a client in each request. Its address. */
function shop(string $code): string
{
    $dir = folder();
    file_put_contents("$dir/index.php", '<?php require ' . var_export(dirname(__DIR__) . '/autoload.php', true) . ";\n$code");
    $probe = stream_socket_server('tcp://127.0.0.1:0');
    $address = stream_socket_get_name($probe, false);
    fclose($probe);
    background([PHP_BINARY, '-d', 'error_log=/dev/null', '-S', $address, "$dir/index.php"]);
    until('the shop to listen', static function () use ($address) {
        return get($address, '/') !== '';
    });
    return $address;
}

/** A page, or nothing while nobody listens. */
function get(string $address, string $path): string
{
    return Plugmend\PluginClient\Quiet::run(static function () use ($address, $path) {
        $context = stream_context_create(['http' => ['ignore_errors' => true]]);
        return (string) file_get_contents("http://$address$path", false, $context);
    }, '');
}

/** What the control plane has of this plugin: requests, errors, webhooks and failed ones. */
function arrived(): string
{
    $plugin = preg_replace('/[^0-9a-f-]/', '', status()['identity']['plugin_id'] ?? '');
    $sql = "SELECT sum(requests), sum(errors), sum(webhook_total), sum(webhook_failed) FROM plugin_telemetry
            WHERE plugin_id::text = '$plugin'";
    return trim(run(['psql', '-qAt', trim(file_get_contents(stage() . '/database')), '-c', $sql]));
}

return [
    // First, while the control plane knows nothing of this plugin.
    'what was said while the agent was down is in the spool, and counted when it is back' => static function () {
        $client = new Client(options());
        for ($n = 0; $n < 7; $n++) {
            $client->request(false, 3);
            $client->webhook(false);
            $client->error('gone');
            $client->flush();
        }
        same(0, $client->dropped());
        agent();
        // What has waited for its turn is handed over by whoever speaks next and looks after the spool.
        until('the spool to be empty', static function () {
            $spool = new Plugmend\PluginClient\Spool(options()['spool_dir']);
            $spool->handOver();
            return spooled(options()['spool_dir']) === [];
        });
        // Late events are counted by the hour they happened in, and go to the control plane with the next heartbeat.
        until('the control plane to have them', static function () {
            return arrived() === '7|14|7|7';
        });
    },
    'the agent counts what a shop says over its sockets' => static function () {
        $options = options();
        agent();
        $shop = shop('$client = Plugmend\PluginClient\Client::start(' . var_export($options, true) . ');
            if ($_SERVER["REQUEST_URI"] === "/webhook") { $client->webhook(false); $client->webhook(true); }
            if ($_SERVER["REQUEST_URI"] === "/broken") { throw new Exception("no gateway"); }
            if ($_SERVER["REQUEST_URI"] === "/refused") { http_response_code(503); }
            if ($_SERVER["REQUEST_URI"] === "/paid") { $client->payment(true); $client->hello(); }
            echo "page";');
        // The look whether it listens was a request too; more than one, if it was slow to answer.
        $before = heard('the first request', static function ($now) {
            return $now['requests'] >= 1;
        })['requests'];
        foreach (['/', '/webhook', '/broken', '/refused', '/paid'] as $path) {
            get($shop, $path);
        }
        $heard = heard('all of it', static function ($now) use ($before) {
            return $now['requests'] === $before + 5 && $now['webhook_total'] === 2 && $now['last_error'] !== null;
        });
        same([2, 1, '1.0.0'], [$heard['errors'], $heard['webhook_failed'], $heard['version']]);
        holds(strpos($heard['last_error'], 'no gateway') !== false, $heard['last_error']);
        same([], spooled($options['spool_dir']));
    },
    'and over UDP' => static function () {
        $udp = trim(file_get_contents(stage() . '/php/udp'));
        agent();
        $client = new Client(['udp' => $udp, 'version' => '1.0.0']);
        for ($n = 0; $n < 40; $n++) {
            $client->request($n % 4 !== 0, 12.5);
        }
        $client->error('only counted here');
        $client->flush();
        $heard = heard('all of it', static function ($now) {
            return $now['requests'] === 40 && $now['errors'] > 10;
        });
        same([11, null], [$heard['errors'], $heard['last_error']]);
    },
    'an agent that is stopped in its tracks costs the spool, not the shop' => static function () {
        $agent = agent();
        proc_terminate($agent, 19);
        $client = new Client(options());
        for ($n = 0; $n < 200; $n++) {
            $client->webhook(true);
            $client->flush();
        }
        same(0, $client->dropped());
        holds(spooled(options()['spool_dir']) !== [], 'spooled');
        proc_terminate($agent, 18);
        heard('what the sockets had taken', static function ($now) {
            return $now['webhook_total'] > 0;
        });
    },
];
