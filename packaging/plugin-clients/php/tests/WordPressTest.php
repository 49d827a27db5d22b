<?php

// The must-use plugin within the few functions of WordPress that it uses, in a process of its own.

/** A site of one plugin, and WordPress' hooks as they are documented; runs `$plugin` as that plugin. Its events. */
function wordpress(string $plugin, string $settings = ''): array
{
    [$site, $spool] = [folder(), folder()];
    mkdir("$site/mu-plugins/plugmend-client", 0777, true);
    mkdir("$site/plugins/pay", 0777, true);
    $root = dirname(__DIR__);
    copy("$root/wordpress/plugmend-client.php", "$site/mu-plugins/plugmend-client.php");
    copy("$root/autoload.php", "$site/mu-plugins/plugmend-client/autoload.php");
    symlink("$root/src", "$site/mu-plugins/plugmend-client/src");
    file_put_contents("$site/plugins/pay/pay.php", "<?php\n/**\n * Plugin Name: Pay\n * Version: 2.3.4\n */\n$plugin");
    file_put_contents("$site/wordpress.php", '<?php
        $wp_version = "6.1";
        function add_filter($name, $callback, $priority = 10, $arguments = 1) { $GLOBALS["hooks"][$name][] = [$callback, $arguments]; }
        function add_action(...$all) { add_filter(...$all); }
        function apply_filters($name, $value, ...$more) {
            foreach ($GLOBALS["hooks"][$name] ?? [] as [$callback, $arguments]) {
                $value = $callback(...array_slice(array_merge([$value], $more), 0, $arguments));
            }
            return $value;
        }
        function do_action($name, ...$all) {
            foreach ($GLOBALS["hooks"][$name] ?? [] as [$callback, $arguments]) { $callback(...array_slice($all, 0, $arguments)); }
        }
        function get_file_data($file, $headers) {
            preg_match("/Version: *(\S+)/", file_get_contents($file), $found);
            return ["Version" => $found[1]];
        }
        const ABSPATH = "/";
        const PLUGMEND_PLUGIN = "pay/pay.php";
        define("WP_PLUGIN_DIR", __DIR__ . "/plugins");
        define("PLUGMEND_SPOOL_DIR", ' . var_export($spool, true) . ');
        ' . $settings . '
        require __DIR__ . "/mu-plugins/plugmend-client.php";
        require WP_PLUGIN_DIR . "/pay/pay.php";
        do_action("plugins_loaded");
        do_action("shop");');
    run([PHP_BINARY, '-d', 'error_log=/dev/null', "$site/wordpress.php"]);
    return array_values(array_filter(spooled($spool), static function ($event) {
        return $event['type'] !== 'hello';
    }));
}

return [
    'a plugin speaks by actions, with the version of its header' => static function () {
        $events = wordpress('add_action("shop", function () {
            do_action("plugmend_webhook", false);
            do_action("plugmend_payment", true);
            do_action("plugmend_error", "no gateway");
            do_action("plugmend_count", "orders", 3);
            do_action("plugmend_gauge", "queue", 17);
        });');
        same(['webhook', 'counter', 'error', 'counter', 'gauge'], array_column($events, 'type'));
        same([1, 3, 17], array_column($events, 'value'));
        same(array_fill(0, 5, '2.3.4'), array_column($events, 'version'));
    },
    'the plugin\'s own word on its version wins: OPcache may run other code than lies there' => static function () {
        $events = wordpress('add_filter("plugmend_version", function () { return "2.3.3"; });
            add_action("shop", function () { do_action("plugmend_webhook", true); });');
        same(['2.3.3'], array_column($events, 'version'));
    },
    'a plugin that dies while it is loaded is told' => static function () {
        $events = wordpress('undefined_function();');
        same(['error'], array_column($events, 'type'));
        holds(strpos($events[0]['message'], 'undefined_function') !== false, $events[0]['message']);
    },
    'without the library beside it the site goes on' => static function () {
        same([], wordpress('do_action("plugmend_webhook", true);', 'unlink(__DIR__ . "/mu-plugins/plugmend-client/autoload.php");'));
    },
];
