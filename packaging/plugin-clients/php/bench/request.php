<?php

// What a real request pays in all, the loading of the classes included: PHP's own server with OPcache serves a page that
// starts a client, says a webhook and hands over, and answers how long that took. The agent is a socket that is read here.
//
//     php bench/request.php [REQUESTS]

$requests = (int) ($argv[1] ?? 5000);
$dir = sys_get_temp_dir() . '/plugmend-bench-' . bin2hex(random_bytes(6));
mkdir("$dir/spool", 0700, true);
file_put_contents("$dir/index.php", '<?php
    function cpu() { $u = getrusage(); return 1e6 * ($u["ru_utime.tv_sec"] + $u["ru_stime.tv_sec"]) + $u["ru_utime.tv_usec"] + $u["ru_stime.tv_usec"]; }
    cpu();
    [$cpu, $began] = [cpu(), hrtime(true)];
    require ' . var_export(dirname(__DIR__) . '/autoload.php', true) . ';
    $client = Plugmend\PluginClient\Client::start(["version" => "1.2.3", "socket" => __DIR__ . "/agent.sock", "spool_dir" => __DIR__ . "/spool"]);
    $client->webhook(true);
    $client->finish();
    echo (hrtime(true) - $began) / 1000, " ", cpu() - $cpu;');

$datagrams = stream_socket_server("udg://$dir/agent.sock.dgram", $number, $words, STREAM_SERVER_BIND);
stream_set_blocking($datagrams, false);
$free = stream_socket_server('tcp://127.0.0.1:0');
$address = stream_socket_get_name($free, false);
fclose($free);
$ini = ['-d', 'opcache.enable=1', '-d', 'opcache.enable_cli=1', '-d', 'error_log=/dev/null'];
$command = array_merge([PHP_BINARY], $ini, ['-S', $address, "$dir/index.php"]);
$server = proc_open($command, array_fill(0, 3, ['file', '/dev/null', 'r+']), $pipes);
for ($tries = 0; $tries < 200 && @file_get_contents("http://$address/") === false; $tries++) {
    usleep(25000);
}

$wall = $used = [];
for ($n = 0; $n < $requests; $n++) {
    [$wall[], $used[]] = array_map('floatval', explode(' ', file_get_contents("http://$address/")));
    while ((string) stream_socket_recvfrom($datagrams, 9000) !== '') {
    }
}
proc_terminate($server);
proc_close($server);
foreach (['by the clock' => $wall, 'of processor time' => $used] as $name => $times) {
    sort($times);
    printf("%-18s", $name);
    foreach (['p50' => 0.5, 'p99' => 0.99, 'p99.9' => 0.999, 'slowest' => 1] as $label => $share) {
        printf('  %s %d µs', $label, round($times[(int) ($share * ($requests - 1))]));
    }
    echo "\n";
}
array_map('unlink', array_merge(glob("$dir/spool/*"), ["$dir/index.php", "$dir/agent.sock.dgram"]));
rmdir("$dir/spool");
rmdir($dir);
