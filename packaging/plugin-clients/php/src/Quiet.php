<?php

namespace Plugmend\PluginClient;

/** The one rule of this client: whatever goes wrong in it, the shop does not notice. */
final class Quiet
{
    /**
     * Runs `$work`. An exception ends here, and so does a warning: `@` alone would still call the shop's own error
     * handler, which may turn warnings into exceptions or pages, and `error_get_last()` would be ours instead of the shop's.
     *
     * @param callable $work
     * @param mixed $otherwise the answer when it failed
     * @return mixed
     */
    public static function run($work, $otherwise = null)
    {
        set_error_handler(static function () {
            return true;
        });
        try {
            return $work();
        } catch (\Throwable $ignored) {
            return $otherwise;
        } finally {
            restore_error_handler();
        }
    }
}
