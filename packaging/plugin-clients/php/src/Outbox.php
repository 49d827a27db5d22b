<?php

namespace Plugmend\PluginClient;

/** Events on their way out: bounded, and each of them said once, by the best way that takes it. */
final class Outbox
{
    /** So many are collected before they are handed over; a request has fewer. */
    private const BATCH = 50;
    /** A process that lives longer hands over from time to time, in seconds. */
    private const EVERY_S = 5;

    /** @var Sockets */
    private $sockets;
    /** @var Spool|null */
    private $spool;
    /** @var array<int, array<string, mixed>> */
    private $events = [];
    /** @var int */
    private $dropped = 0;
    /** @var int */
    private $flushed;
    /** @var int */
    private $process;

    public function __construct(Sockets $sockets, ?Spool $spool)
    {
        $this->sockets = $sockets;
        $this->spool = $spool;
        $this->flushed = time();
        $this->process = self::process();
    }

    /** How many events were given up. */
    public function dropped(): int
    {
        return $this->dropped;
    }

    /** @param array<string, mixed>|null $event */
    public function take(?array $event, ?string $version): void
    {
        if ($event === null) {
            $this->dropped++;
            return;
        }
        $this->forgetParents();
        $this->events[] = $event;
        if (count($this->events) >= self::BATCH || abs(time() - $this->flushed) >= self::EVERY_S) {
            $this->flush($version);
        }
    }

    /** Hands over what was collected. */
    public function flush(?string $version): void
    {
        $this->forgetParents();
        $events = $this->events;
        $this->events = [];
        $this->flushed = time();
        if ($events !== []) {
            $this->spool($this->datagrams($this->stream($events, $version), $version), $version);
        }
    }

    /** Hands over what an earlier outage has left in the spool. */
    public function handOver(): void
    {
        if ($this->spool !== null) {
            $this->spool->handOver();
        }
    }

    /** After a fork there are two of everything that was collected before; the parent says it. */
    private function forgetParents(): void
    {
        if (self::process() !== $this->process) {
            $this->process = self::process();
            $this->events = [];
        }
    }

    /** Some hosts have switched the function off, along with forking. */
    private static function process(): int
    {
        return function_exists('getmypid') ? (int) getmypid() : 0;
    }

    /**
     * Says by the stream socket what a datagram has no words for. Gives what is left to say.
     *
     * @param array<int, array<string, mixed>> $events
     * @return array<int, array<string, mixed>>
     */
    private function stream(array $events, ?string $version): array
    {
        if (!$this->sockets->hasStream()) {
            return $events;
        }
        $left = [];
        $lines = '';
        foreach ($events as $event) {
            if ($event['type'] === 'hello' || isset($event['message'])) {
                $lines .= Notation::json($event, $version, false);
            } else {
                $left[] = $event;
            }
        }
        return $lines === '' || $this->sockets->sendStream($lines) ? $left : $events;
    }

    /**
     * @param array<int, array<string, mixed>> $events
     * @return array<int, array<string, mixed>>
     */
    private function datagrams(array $events, ?string $version): array
    {
        if (!$this->sockets->hasDatagrams()) {
            return $events;
        }
        $left = [];
        $datagrams = [];
        $within = [];
        foreach ($events as $event) {
            $lines = Notation::statsd($event, $version);
            if ($lines === '') {
                $left[] = $event;
                continue;
            }
            $last = count($datagrams) - 1;
            if ($last < 0 || strlen($datagrams[$last]) + strlen($lines) > Sockets::MAX_DATAGRAM) {
                $datagrams[++$last] = '';
            }
            $datagrams[$last] .= $lines;
            $within[$last][] = $event;
        }
        $taken = $this->sockets->sendDatagrams($datagrams);
        return array_merge($left, ...array_slice($within, $taken));
    }

    /** @param array<int, array<string, mixed>> $events */
    private function spool(array $events, ?string $version): void
    {
        if ($events === []) {
            return;
        }
        $lines = '';
        foreach ($events as $event) {
            $lines .= Notation::json($event, $version, true);
        }
        if ($this->spool === null || !$this->spool->append($lines)) {
            $this->dropped += count($events);
        }
    }
}
