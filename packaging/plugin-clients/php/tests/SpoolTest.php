<?php

use Plugmend\PluginClient\Spool;

return [
    'a spool that nobody empties stops growing at 2 MiB' => static function () {
        $dir = folder();
        $spool = new Spool($dir);
        $line = str_repeat('x', 7999) . "\n";
        $refused = 0;
        for ($n = 0; $n < 400; $n++) {
            $refused += $spool->append($line) ? 0 : 1;
        }
        $sizes = array_map('filesize', glob("$dir/*"));
        holds(array_sum($sizes) <= 2 * 1024 * 1024 && max($sizes) <= 262144, 'bounded');
        holds($refused > 0, 'and says so');
    },
    'when the agent has taken a file, what waits is handed over' => static function () {
        $dir = folder();
        $spool = new Spool($dir);
        for ($n = 0; $n < 100; $n++) {
            $spool->append("{}\n");
        }
        holds(glob("$dir/*.part") !== [], 'some waits');
        array_map('unlink', glob("$dir/*.ndjson"));
        $spool->handOver();
        same([], glob("$dir/*.part"));
    },
    'many processes lose and double nothing while the agent takes files' => static function () {
        $dir = folder();
        $code = '$s = new Plugmend\PluginClient\Spool(' . var_export($dir, true) . '); $n = 0;
            for ($i = 0; $i < 500; $i++) { $n += (int) $s->append("{\"type\":\"webhook\"}\n"); } echo $n;';
        $script = folder() . '/writer.php';
        file_put_contents($script, '<?php require ' . var_export(dirname(__DIR__) . '/autoload.php', true) . ";\n" . $code);
        $writers = [];
        for ($n = 0; $n < 6; $n++) {
            $writers[] = proc_open([PHP_BINARY, $script], [1 => ['pipe', 'w']], $pipes[$n]);
        }
        $taken = 0;
        $take = static function () use ($dir, &$taken) {
            foreach (glob("$dir/*.ndjson") as $file) {
                // As the agent does: opened, its name taken away, then read.
                $open = fopen($file, 'r');
                unlink($file);
                $taken += substr_count(stream_get_contents($open), "\n");
            }
        };
        until('the writers to end', static function () use ($writers, $take) {
            $take();
            return array_filter($writers, static function ($w) { return proc_get_status($w)['running']; }) === [];
        });
        $take();
        (new Spool($dir))->handOver();
        $take();
        $said = 0;
        foreach ($pipes as $pipe) {
            $said += (int) stream_get_contents($pipe[1]);
        }
        holds($said > 0, 'something was taken');
        same($said, $taken, 'lines');
    },
    'a link in the spool is not written through' => static function () {
        [$dir, $target] = [folder(), folder() . '/target'];
        touch($target);
        for ($slot = 0; $slot < 4; $slot++) {
            symlink($target, "$dir/plugmend-$slot.part");
        }
        same(false, (new Spool($dir))->append("{}\n"));
        same(0, filesize($target));
    },
    'a spool that is not there, or is a file, takes nothing' => static function () {
        same(false, (new Spool('/nonexistent'))->append("{}\n"));
        same(false, (new Spool(__FILE__))->append("{}\n"));
    },
];
