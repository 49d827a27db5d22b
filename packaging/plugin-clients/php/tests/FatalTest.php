<?php

// Each in a process of its own, which dies.

function dying(string $code, string $options = '', array $ini = []): array
{
    $dir = folder();
    $start = 'Plugmend\PluginClient\Client::start(["spool_dir" => ' . var_export($dir, true) . ", $options]);\n";
    php($start . $code, $ini);
    return array_filter(spooled($dir), static function ($event) {
        return $event['type'] !== 'hello';
    });
}

function messages(array $events): string
{
    return implode('; ', array_column($events, 'message'));
}

return [
    'an uncaught exception is told, without what its functions were given' => static function () {
        $events = dying('function pay($card) { throw new Exception("no gateway"); } pay("4242424242424242");');
        same(1, count($events));
        holds(strpos(messages($events), 'no gateway') !== false, messages($events));
        holds(strpos(messages($events), '4242') === false, messages($events));
    },
    'running out of memory is told' => static function () {
        $events = dying('$all = []; for (;;) { $all[] = str_repeat("x", 100000); }', '', ['memory_limit' => '8M']);
        holds(strpos(messages($events), 'memory size') !== false, messages($events));
    },
    'running out of time is told' => static function () {
        $events = dying('set_time_limit(1); for (;;) { }');
        holds(strpos(messages($events), 'execution time') !== false, messages($events));
    },
    'a syntax error in a file that is loaded is told' => static function () {
        $file = folder() . '/broken.php';
        file_put_contents($file, '<?php function {');
        holds(strpos(messages(dying('require ' . var_export($file, true) . ';')), 'broken.php:1') !== false, 'told');
    },
    'another plugin\'s fatal error is not told as ours' => static function () {
        same([], array_values(dying('undefined_function();', '"requests" => true, "path" => "/elsewhere/pay"')));
    },
    'a request that ends well is told with its time, behind every other shutdown function' => static function () {
        $events = array_values(dying('register_shutdown_function(function () { usleep(50000); });', '"requests" => true'));
        same(['request', true], [$events[0]['type'], $events[0]['ok']]);
        holds($events[0]['ms'] >= 50, 'with what others do at the end');
    },
    'a shutdown function that ends the process does not silence us' => static function () {
        $events = dying('register_shutdown_function(function () { exit(1); });', '"requests" => true');
        same(1, count($events));
    },
    'a shop without the functions for sockets still has its spool' => static function () {
        $events = dying(
            'Plugmend\PluginClient\Client::current()->webhook(true);',
            '"socket" => "/nonexistent/a.sock"',
            ['disable_functions' => 'stream_socket_client,getmypid']
        );
        same(['webhook'], array_column($events, 'type'));
    },
    'on the command line no request is told' => static function () {
        same([], dying('echo 1;'));
    },
];
