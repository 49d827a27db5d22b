<?php

namespace Plugmend\PluginClient;

/** The agent's two notations: DogStatsD for its datagram sockets; JSON, one object a line, for its stream socket and spool. */
final class Notation
{
    /** Bytes that are not UTF-8 become U+FFFD: the agent would refuse the line. */
    private const FLAGS = JSON_INVALID_UTF8_SUBSTITUTE | JSON_UNESCAPED_SLASHES;

    /**
     * @param array<string, mixed> $event
     * @param bool $dated whether the line says when it happened, for the spool
     */
    public static function json(array $event, ?string $version, bool $dated): string
    {
        $at = $event['at'];
        unset($event['at']);
        if ($version !== null) {
            $event['version'] = $version;
        }
        if ($dated) {
            $event['at'] = gmdate('Y-m-d\TH:i:s\Z', $at);
        }
        $line = json_encode($event, self::FLAGS);
        return $line === false ? '' : $line . "\n";
    }

    /**
     * Lines of DogStatsD; none for what that can not say. The words of an error have no place there.
     *
     * @param array<string, mixed> $event
     */
    public static function statsd(array $event, ?string $version): string
    {
        $tags = [];
        if (isset($event['ok'])) {
            $tags[] = $event['ok'] ? 'ok:true' : 'ok:false';
        }
        if ($version !== null) {
            $tags[] = 'version:' . $version;
        }
        $tags = $tags === [] ? '' : '|#' . implode(',', $tags);
        switch ($event['type']) {
            case 'request':
                $latency = isset($event['ms']) ? 'latency:' . self::number($event['ms']) . "|ms\n" : '';
                return "requests:1|c$tags\n" . $latency;
            case 'error':
                return "errors:1|c$tags\n";
            case 'webhook':
                return "webhook:1|c$tags\n";
            case 'counter':
                return $event['name'] . ':' . self::number($event['value']) . "|c\n";
            case 'gauge':
                return $event['name'] . ':' . self::number($event['value']) . "|g\n";
            default:
                return '';
        }
    }

    /** A number with a decimal point: before PHP 8 a float becomes text in the shop's locale, with a comma. */
    private static function number($value): string
    {
        return (string) json_encode($value);
    }
}
