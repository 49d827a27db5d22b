<?php

namespace Plugmend\PluginClient;

/**
 * Says how a plugin is doing. No method throws, whatever it is given (for that reason the parameters have no types), and
 * nothing waits. What a request has to say is handed over once, at its end.
 */
final class Client
{
    /** One request in so many says what it runs on, and looks after the spool. */
    private const SELDOM = 100;
    /** Freed before a fatal error is reported: it may have been for want of memory. In bytes. */
    private const RESERVE = 65536;

    /** @var Client|null */
    private static $current;

    /** @var Outbox */
    private $outbox;
    /** @var string|null */
    private $version;
    /** @var string */
    private $path;
    /** @var array<string, mixed> */
    private $env;
    /** @var bool whether the process serves a request, of which the end is to be told */
    private $serving;
    /** @var string|null */
    private $reserve;
    /** @var bool */
    private $started = false;
    /** @var bool */
    private $finished = false;

    /**
     * Starts a client that also tells the end of the request: how long it took, whether it ended well, and the fatal error
     * that ended it.
     *
     * @param array<string, mixed> $options `version` of the plugin's running code; `socket` or `udp` of the agent;
     *     `spool_dir`, for while it is down; `path` of the plugin's folder, so that other plugins' fatal errors are not
     *     told as its own; `env`, versions of what it runs on; `requests` false when requests are told by hand
     */
    public static function start($options = []): self
    {
        $client = new self($options);
        $client->started = true;
        $client->reserve = str_repeat("\0", self::RESERVE);
        Quiet::run(static function () use ($client) {
            register_shutdown_function(static function () use ($client) {
                // Behind the shutdown functions of everyone else, so that their time and their errors count.
                register_shutdown_function([$client, 'finish']);
            });
        });
        self::$current = $client;
        return $client;
    }

    /** The client that was started last; before, one that takes everything and does nothing. */
    public static function current(): self
    {
        if (self::$current === null) {
            self::$current = new self([]);
        }
        return self::$current;
    }

    /** @param array<string, mixed> $options see `start` */
    public function __construct($options = [])
    {
        $options = is_array($options) ? $options : [];
        $dir = $options['spool_dir'] ?? null;
        $spool = is_string($dir) && $dir !== '' ? new Spool($dir) : null;
        $this->outbox = new Outbox(new Sockets($options['socket'] ?? null, $options['udp'] ?? null), $spool);
        $this->version = Event::version($options['version'] ?? null);
        $this->path = is_string($options['path'] ?? null) ? $options['path'] : '';
        $this->env = ['php' => PHP_VERSION] + (is_array($options['env'] ?? null) ? $options['env'] : []);
        $this->serving = ($options['requests'] ?? PHP_SAPI !== 'cli') !== false;
    }

    /** Where a shutdown function of the shop's ended the process before ours was called. */
    public function __destruct()
    {
        $this->started ? $this->finish() : $this->flush();
    }

    /** The version of the running code, when it is known later than the client is started. */
    public function runs($version = null): void
    {
        $this->version = Event::version($version);
    }

    /** A request was served; `$ok` false when it failed (and then it counts as an error too); `$ms` is how long it took. */
    public function request($ok = true, $ms = null): void
    {
        $this->take(static function () use ($ok, $ms) {
            return Event::request($ok, $ms);
        });
    }

    /** An error outside of a request, or one that a request survived; words or an exception. */
    public function error($message = null): void
    {
        $this->take(static function () use ($message) {
            return Event::error($message);
        });
    }

    /** A webhook delivery, and how it went. */
    public function webhook($ok = true): void
    {
        $this->take(static function () use ($ok) {
            return Event::webhook($ok);
        });
    }

    /** A payment, and how it went: the counters `payments` and `payments.failed`. */
    public function payment($ok = true): void
    {
        $this->count('payments');
        if ($ok === false) {
            $this->count('payments.failed');
        }
    }

    /** A counter of the plugin's own: letters, digits, `_ . -`; at most 63 names. */
    public function count($name = null, $by = 1): void
    {
        $this->take(static function () use ($name, $by) {
            return Event::counter($name, $by);
        });
    }

    /** A gauge of the plugin's own. */
    public function gauge($name = null, $value = null): void
    {
        $this->take(static function () use ($name, $value) {
            return Event::gauge($name, $value);
        });
    }

    /** The reference client's name for `error`. */
    public function logError($type = null, $data = null): void
    {
        $this->take(static function () use ($type, $data) {
            return Event::error(Event::words($type, $data));
        });
    }

    /** The reference client's name for `webhook`. */
    public function trackWebhookCall($success = true): void
    {
        $this->take(static function () use ($success) {
            // In here: PHP 8.5 warns of some values on their way to a truth.
            return Event::webhook((bool) $success);
        });
    }

    /** Says which version runs, and on what. The agent remembers it; one request in a hundred says it by itself. */
    public function hello(): void
    {
        $this->take(function () {
            return Event::hello($this->env);
        });
    }

    /** Hands over now what was collected; at the end of a request that happens by itself. */
    public function flush(): void
    {
        Quiet::run(function () {
            $this->outbox->flush($this->version);
        });
    }

    /** How many events were given up: nobody took them, or they were not in order. */
    public function dropped(): int
    {
        return $this->outbox->dropped();
    }

    /** The end of the request or process. Called by itself after `start`; a second time it does nothing. */
    public function finish(): void
    {
        if ($this->finished) {
            return;
        }
        $this->finished = true;
        $this->reserve = null;
        Quiet::run(function () {
            $this->tellTheEnd(error_get_last());
            // Not mt_rand(): a shop that has seeded it counts on what comes next.
            if (random_int(1, self::SELDOM) === 1) {
                $this->hello();
                $this->outbox->handOver();
            }
        });
        $this->flush();
    }

    /** @param array<string, mixed>|null $last */
    private function tellTheEnd(?array $last): void
    {
        $fatal = Fatal::words($last);
        if ($fatal !== null && !Fatal::isIn((array) $last, $this->path)) {
            // Another plugin broke this request, so it says nothing about ours.
            return;
        }
        if ($this->serving) {
            $began = $_SERVER['REQUEST_TIME_FLOAT'] ?? null;
            $ms = is_float($began) ? (microtime(true) - $began) * 1000 : null;
            // A fatal error is told as an error of its own, with its words; a failed request would count it again.
            $this->request($fatal !== null || (int) http_response_code() < 500, $ms);
        }
        if ($fatal !== null) {
            $this->error($fatal);
        }
    }

    private function take(callable $make): void
    {
        Quiet::run(function () use ($make) {
            $this->outbox->take($make(), $this->version);
        });
    }
}
