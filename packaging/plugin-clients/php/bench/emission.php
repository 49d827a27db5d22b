<?php

// What one request of a shop pays: a client is started, says a webhook and a payment, and hands over at the end, as in
// PHP-FPM. Prints percentiles for each state that the agent can be in, by the clock and by the processor time used: on a busy
// machine the clock also counts what other processes did meanwhile. Needs no agent: receivers are made here.
//
//     php bench/emission.php [ROUNDS]

require __DIR__ . '/../autoload.php';

use Plugmend\PluginClient\Client;

$rounds = (int) ($argv[1] ?? 20000);
$dir = sys_get_temp_dir() . '/plugmend-bench-' . bin2hex(random_bytes(6));
mkdir("$dir/spool", 0700, true);
$path = "$dir/agent.sock";

/** Processor time of this process, in ns. */
function cpu(): int
{
    $used = getrusage();
    return 1000 * (1000000 * ($used['ru_utime.tv_sec'] + $used['ru_stime.tv_sec']) + $used['ru_utime.tv_usec'] + $used['ru_stime.tv_usec']);
}

/** @param int[] $times */
function percentiles(array $times): string
{
    sort($times);
    $all = '';
    foreach ([0.5, 0.99, 0.999, 1] as $share) {
        $all .= sprintf('%8d', round($times[(int) ($share * (count($times) - 1))] / 1000));
    }
    return $all;
}

/** @param callable $between what happens between two requests, off the clock */
function measure(string $name, int $rounds, array $options, callable $between): void
{
    $wall = $used = [];
    for ($n = 0; $n < $rounds; $n++) {
        $before = cpu();
        $began = hrtime(true);
        $client = new Client($options + ['version' => '1.2.3', 'requests' => true]);
        $client->webhook(true);
        $client->payment(true);
        $client->finish();
        $wall[] = hrtime(true) - $began;
        $used[] = cpu() - $before;
        $between();
    }
    echo str_pad($name, 30), percentiles($wall), '  |', percentiles($used), "\n";
}

$columns = '     p50     p99   p99.9 slowest';
echo str_pad("one request, $rounds rounds (µs)", 30), $columns, '  |', $columns, " of processor time\n";
$nothing = static function () {
};
$both = ['socket' => $path, 'spool_dir' => "$dir/spool"];
measure('no agent, no spool', $rounds, ['socket' => $path], $nothing);
measure('no agent, spool', $rounds, $both, static function () use ($dir) {
    // An agent takes what was handed over every five seconds; here a file of 200 kB does.
    foreach (glob("$dir/spool/*.ndjson") as $file) {
        if (filesize($file) > 200000) {
            unlink($file);
        }
    }
});
measure('no agent, spool full', $rounds, $both, $nothing);

$datagrams = stream_socket_server("udg://$path.dgram", $number, $words, STREAM_SERVER_BIND);
stream_set_blocking($datagrams, false);
$read = static function () use ($datagrams) {
    while ((string) stream_socket_recvfrom($datagrams, 9000) !== '') {
    }
};
measure('agent reads', $rounds, $both, $read);
measure('agent does not read, spool', $rounds, $both, static function () use ($dir) {
    foreach (glob("$dir/spool/*") as $file) {
        if (filesize($file) > 200000) {
            unlink($file);
        }
    }
});
measure('UDP, nobody there', $rounds, ['udp' => '127.0.0.1:9'], $nothing);

fclose($datagrams);
array_map('unlink', array_merge(glob("$dir/spool/*"), glob("$dir/agent.sock*")));
rmdir("$dir/spool");
rmdir($dir);
