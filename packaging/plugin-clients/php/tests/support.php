<?php

// What the tests share: assertions, folders, child processes, and the real agent of the stage that
// tests/setup/client-stage has set up.

final class Skipped extends Exception
{
}

const PATIENCE_S = 30;

function same($wanted, $got, string $about = ''): void
{
    if ($wanted !== $got) {
        throw new Exception("$about: wanted " . var_export($wanted, true) . ', got ' . var_export($got, true));
    }
}

function holds(bool $fact, string $about): void
{
    same(true, $fact, $about);
}

/** Waits for a value, with a bound. */
function until(string $what, callable $look)
{
    $end = microtime(true) + PATIENCE_S;
    while (!($found = $look())) {
        if (microtime(true) > $end) {
            throw new Exception("waited in vain for $what");
        }
        usleep(25000);
    }
    return $found;
}

/** Remembers what is to be undone after the test. */
function afterwards(?callable $undo = null): array
{
    static $list = [];
    if ($undo !== null) {
        $list[] = $undo;
        return $list;
    }
    [$all, $list] = [$list, []];
    return $all;
}

function clean_up(): void
{
    foreach (array_reverse(afterwards()) as $undo) {
        $undo();
    }
}

/** An empty folder, removed after the test. */
function folder(): string
{
    $path = sys_get_temp_dir() . '/plugmend-php-' . bin2hex(random_bytes(6));
    mkdir($path);
    afterwards(static function () use ($path) {
        empty_folder($path);
        rmdir($path);
    });
    return $path;
}

function empty_folder(string $path): void
{
    foreach (array_diff(scandir($path), ['.', '..']) as $name) {
        $entry = "$path/$name";
        if (is_dir($entry) && !is_link($entry)) {
            empty_folder($entry);
            rmdir($entry);
        } else {
            unlink($entry);
        }
    }
}

/** Runs PHP code in a process of its own, with the library loaded; what it printed. */
function php(string $code, array $ini = []): string
{
    $file = folder() . '/script.php';
    file_put_contents($file, '<?php require ' . var_export(dirname(__DIR__) . '/autoload.php', true) . ";\n" . $code);
    $settings = ['-d', 'display_errors=stdout', '-d', 'error_log=/dev/null', '-d', 'html_errors=0'];
    foreach ($ini as $name => $value) {
        array_push($settings, '-d', "$name=$value");
    }
    return run(array_merge([PHP_BINARY], $settings, [$file]));
}

function run(array $command): string
{
    $process = proc_open($command, [['file', '/dev/null', 'r'], ['pipe', 'w'], ['file', '/dev/null', 'w']], $pipes);
    $output = stream_get_contents($pipes[1]);
    proc_close($process);
    return $output;
}

/** Everything that lies in a spool, as events. */
function spooled(string $dir): array
{
    $events = [];
    foreach (array_merge(glob("$dir/*.ndjson"), glob("$dir/*.part")) as $file) {
        foreach (file($file, FILE_IGNORE_NEW_LINES) as $line) {
            $events[] = json_decode($line, true, 512, JSON_THROW_ON_ERROR);
        }
    }
    return $events;
}

/** A process that runs in the background until the test ends. */
function background(array $command)
{
    $process = proc_open($command, array_fill(0, 3, ['file', '/dev/null', 'r+']), $pipes);
    afterwards(static function () use ($process) {
        stop($process);
    });
    return $process;
}

function stop($process): void
{
    if (is_resource($process)) {
        proc_terminate($process, 18);
        proc_terminate($process, 15);
        until('a process to end', static function () use ($process) {
            return !proc_get_status($process)['running'];
        });
        proc_close($process);
    }
}

/** The stage's folder. */
function stage(): string
{
    $stage = getenv('PLUGMEND_CLIENT_STAGE');
    if ($stage === false || $stage === '') {
        throw new Skipped('PLUGMEND_CLIENT_STAGE is not set: run make test-clients');
    }
    return $stage;
}

function status(): array
{
    $answer = run([stage() . '/agent', '--config', stage() . '/php/agent.toml', '--json', 'status']);
    return json_decode($answer, true) ?? [];
}

/** Starts the real agent. */
function agent()
{
    $agent = background([stage() . '/agent', '--config', stage() . '/php/agent.toml', 'run']);
    until('the agent to run', static function () {
        return status()['running'] ?? false;
    });
    return $agent;
}

/** What the agent has heard, as soon as that is as wanted. */
function heard(string $what, callable $wanted): array
{
    return until($what, static function () use ($wanted) {
        $telemetry = status()['telemetry'] ?? null;
        return $telemetry !== null && $wanted($telemetry) ? $telemetry : null;
    });
}
