<?php

// For shops without Composer: require this file.

spl_autoload_register(static function ($class) {
    $prefix = 'Plugmend\\PluginClient\\';
    if (strncmp($class, $prefix, strlen($prefix)) === 0) {
        $file = __DIR__ . '/src/' . substr($class, strlen($prefix)) . '.php';
        if (is_file($file)) {
            require $file;
        }
    }
});
