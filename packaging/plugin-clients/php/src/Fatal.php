<?php

namespace Plugmend\PluginClient;

/** Fatal errors, as PHP leaves them behind for shutdown functions. */
final class Fatal
{
    private const KINDS = E_ERROR | E_PARSE | E_CORE_ERROR | E_COMPILE_ERROR | E_USER_ERROR | E_RECOVERABLE_ERROR;

    /**
     * The words of a fatal error, or `null` when the last error was not fatal.
     *
     * @param array<string, mixed>|null $error what `error_get_last()` says
     */
    public static function words(?array $error): ?string
    {
        if ($error === null || ($error['type'] & self::KINDS) === 0) {
            return null;
        }
        // "Uncaught Exception: words in /path/file.php:12" and a stack trace on lines of its own.
        $first = substr($error['message'], 0, strcspn($error['message'], "\r\n"));
        return substr($first, 0, 150) . ' (' . basename($error['file']) . ':' . $error['line'] . ')';
    }

    /**
     * Whether it happened in the plugin's own files. A shop has many plugins, and a release must not be taken back for
     * what another one did. Releases under a loader lie beside the plugin, in `.plugmend-<its name>`.
     *
     * @param array<string, mixed> $error
     * @param string $path the plugin's folder; empty: any file is the plugin's
     */
    public static function isIn(array $error, string $path): bool
    {
        if ($path === '') {
            return true;
        }
        $path = rtrim($path, '/');
        $real = realpath($path);
        foreach ([$path, $real === false ? $path : $real] as $folder) {
            $beside = dirname($folder) . '/.plugmend-' . basename($folder);
            foreach ([$folder . '/', $beside . '/'] as $prefix) {
                if (strncmp($error['file'], $prefix, strlen($prefix)) === 0) {
                    return true;
                }
            }
        }
        return false;
    }
}
