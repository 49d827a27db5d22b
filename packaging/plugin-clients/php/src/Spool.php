<?php

namespace Plugmend\PluginClient;

/**
 * The agent's spool directory, for while the agent is down. Lines are appended to `plugmend-<slot>.part`, which is handed over
 * by renaming it to `plugmend-<slot>.ndjson` as soon as the agent has taken the file before. A slot is one process's at a
 * time; who finds all of them taken gives its lines up rather than wait.
 */
final class Spool
{
    /** So many processes write at the same time. The agent reads 16 files a scan. */
    private const SLOTS = 4;
    /** A file of a slot, in bytes; a slot has two. In all the spool is never larger than SLOTS * 2 * MAX_FILE: 2 MiB. */
    private const MAX_FILE = 262144;

    /** @var string */
    private $dir;

    public function __construct(string $dir)
    {
        $this->dir = rtrim($dir, '/');
    }

    /** Appends whole lines. False when they were given up. */
    public function append(string $lines): bool
    {
        $first = random_int(0, self::SLOTS - 1);
        for ($n = 0; $n < self::SLOTS; $n++) {
            if ($this->inSlot(($first + $n) % self::SLOTS, $lines)) {
                return true;
            }
        }
        return false;
    }

    /** Hands over what lies: after an outage nobody else appends any more, and the last lines would lie for ever. */
    public function handOver(): void
    {
        for ($slot = 0; $slot < self::SLOTS; $slot++) {
            if (is_file($this->path($slot, 'part'))) {
                $this->inSlot($slot, '');
            }
        }
    }

    private function inSlot(int $slot, string $lines): bool
    {
        $part = $this->path($slot, 'part');
        return (bool) Quiet::run(function () use ($slot, $part, $lines) {
            if (is_link($part)) {
                return false;
            }
            $file = fopen($part, 'ab');
            if ($file === false) {
                return false;
            }
            $done = flock($file, LOCK_EX | LOCK_NB) && $this->write($file, $slot, $lines);
            fclose($file);
            return $done;
        }, false);
    }

    /** @param resource $file locked */
    private function write($file, int $slot, string $lines): bool
    {
        $part = $this->path($slot, 'part');
        clearstatcache(true, $part);
        $ours = fstat($file);
        $there = stat($part);
        // Handed over between opening and locking: what is written into it now, nobody may read.
        if ($there === false || $there['ino'] !== $ours['ino'] || $ours['nlink'] !== 1) {
            return false;
        }
        $fits = $ours['size'] + strlen($lines) <= self::MAX_FILE;
        $written = $lines === '' || ($fits && fwrite($file, $lines) === strlen($lines));
        fflush($file);
        $ready = $this->path($slot, 'ndjson');
        // The lock is the slot's, so nobody else makes that name between the two calls.
        if ($ours['size'] + strlen($lines) > 0 && !file_exists($ready)) {
            rename($part, $ready);
        }
        return $written;
    }

    private function path(int $slot, string $suffix): string
    {
        return $this->dir . '/plugmend-' . $slot . '.' . $suffix;
    }
}
