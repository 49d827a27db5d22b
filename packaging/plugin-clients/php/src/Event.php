<?php

namespace Plugmend\PluginClient;

/**
 * What a plugin can say, made and bounded in one place: the agent refuses a line that is not in order, and a refused line
 * says nothing. An event that is not in order is `null`.
 */
final class Event
{
    /** The agent keeps no more of a text, in bytes. */
    private const MAX_TEXT = 200;
    private const MAX_ENV = 16;
    /** Keeps the longest possible hello below the 8,192 bytes of a line, escapes included. */
    private const MAX_ENV_TEXT = 64;
    /** The longest request that is believed, in ms: a day. */
    private const MAX_MS = 86400000;

    /** @return array<string, mixed> */
    public static function hello($env): array
    {
        $kept = [];
        foreach (is_array($env) ? $env : [] as $name => $value) {
            if (count($kept) < self::MAX_ENV && preg_match('/^[A-Za-z][A-Za-z0-9_.-]{0,39}$/D', (string) $name)) {
                $kept[$name] = self::text($value, self::MAX_ENV_TEXT);
            }
        }
        return self::made('hello', ['env' => (object) $kept]);
    }

    /** @return array<string, mixed> */
    public static function request($ok, $ms): array
    {
        $fields = ['ok' => $ok !== false];
        if (self::isNumber($ms) && $ms >= 0 && $ms <= self::MAX_MS) {
            $fields['ms'] = round((float) $ms, 3);
        }
        return self::made('request', $fields);
    }

    /** @return array<string, mixed> */
    public static function error($message): array
    {
        return self::made('error', $message === null ? [] : ['message' => self::text($message)]);
    }

    /** @return array<string, mixed> */
    public static function webhook($ok): array
    {
        return self::made('webhook', ['ok' => $ok !== false]);
    }

    /** @return array<string, mixed>|null */
    public static function counter($name, $by): ?array
    {
        $fine = self::isName($name) && self::isNumber($by) && $by >= 0;
        return $fine ? self::made('counter', ['name' => $name, 'value' => $by]) : null;
    }

    /** @return array<string, mixed>|null */
    public static function gauge($name, $value): ?array
    {
        $fine = self::isName($name) && self::isNumber($value);
        return $fine ? self::made('gauge', ['name' => $name, 'value' => $value]) : null;
    }

    /** The words of an error, from whatever a plugin has at hand. */
    public static function words($type, $data): string
    {
        $said = is_array($data) ? ($data['message'] ?? null) : $data;
        $before = self::text($type);
        return $said === null ? $before : $before . ': ' . self::text($said);
    }

    /** A version, or `null` when it is none. Characters that mean something in DogStatsD do not occur in versions. */
    public static function version($value): ?string
    {
        return is_string($value) && preg_match('/^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/D', $value) ? $value : null;
    }

    /** The first line of a text: what follows in PHP is a stack trace, with what the shop's functions were given. */
    private static function text($value, int $max = self::MAX_TEXT): string
    {
        $whole = $value instanceof \Throwable ? $value->getMessage() : (is_array($value) ? 'array' : (string) $value);
        return substr($whole, 0, min($max, strcspn($whole, "\r\n")));
    }

    private static function isName($name): bool
    {
        return is_string($name) && preg_match('/^[A-Za-z][A-Za-z0-9_.-]{0,89}$/D', $name) === 1;
    }

    private static function isNumber($value): bool
    {
        return is_int($value) || (is_float($value) && is_finite($value));
    }

    /**
     * @param array<string, mixed> $fields
     * @return array<string, mixed>
     */
    private static function made(string $type, array $fields): array
    {
        return ['type' => $type] + $fields + ['at' => time()];
    }
}
