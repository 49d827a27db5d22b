<?php
/**
 * Plugin Name: Plugmend client
 * Description: Says how one of this shop's plugins is doing to the plugmend agent on this host.
 * Version: 0.1.0
 * Requires PHP: 7.4
 * License: Apache-2.0
 *
 * A must-use plugin: put this file into wp-content/mu-plugins/ and the library beside it, as
 * wp-content/mu-plugins/plugmend-client/. It is loaded before every plugin, so that it sees a plugin that dies while it
 * is loaded. In wp-config.php:
 *
 *     define('PLUGMEND_PLUGIN', 'molam-pay/molam-pay.php');      // the plugin that the agent looks after
 *     define('PLUGMEND_SOCKET', '/run/plugmend/shop.sock');      // the agent's telemetry.socket
 *     define('PLUGMEND_SPOOL_DIR', '/var/spool/plugmend/shop');  // its telemetry.spool_dir, outside of the site
 *
 * The plugin itself needs no class of this library, and works without it:
 *
 *     do_action('plugmend_webhook', true);                       // also _payment, _error, _count, _gauge
 *     add_filter('plugmend_version', fn () => MOLAM_PAY_VERSION); // of the code that runs; else its header is read
 */

defined('ABSPATH') || exit;

(static function () {
    $library = __DIR__ . '/plugmend-client/autoload.php';
    if (!defined('PLUGMEND_PLUGIN') || !is_file($library)) {
        return;
    }
    require_once $library;
    $file = WP_PLUGIN_DIR . '/' . PLUGMEND_PLUGIN;
    $client = \Plugmend\PluginClient\Client::start([
        'socket' => defined('PLUGMEND_SOCKET') ? PLUGMEND_SOCKET : null,
        'udp' => defined('PLUGMEND_UDP') ? PLUGMEND_UDP : null,
        'spool_dir' => defined('PLUGMEND_SPOOL_DIR') ? PLUGMEND_SPOOL_DIR : null,
        'path' => dirname($file),
        'env' => ['wordpress' => $GLOBALS['wp_version'] ?? null],
    ]);
    // The plugin's own word first: OPcache may still run other code than the file that its header would be read from.
    add_action('plugins_loaded', static function () use ($client, $file) {
        $version = apply_filters('plugmend_version', null);
        $client->runs($version ?? (get_file_data($file, ['Version' => 'Version'])['Version'] ?? null));
    }, PHP_INT_MAX);
    add_action('plugmend_webhook', [$client, 'webhook']);
    add_action('plugmend_payment', [$client, 'payment']);
    add_action('plugmend_error', [$client, 'error']);
    add_action('plugmend_count', [$client, 'count'], 10, 2);
    add_action('plugmend_gauge', [$client, 'gauge'], 10, 2);
})();
