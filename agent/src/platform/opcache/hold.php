<?php
// Two passes over the plugin's compiled scripts: "age" marks each as compared with its file in this second, "renew"
// compares those that are a second old. What it tells: how many seconds a comparison lasts, or why it does not help.
if (($_SERVER['PLUGMEND_TOKEN'] ?? '') !== '@TOKEN@') { http_response_code(404); exit; }
$seconds = (int) ini_get('opcache.revalidate_freq');
if (!function_exists('opcache_is_script_cached') || !filter_var(ini_get('opcache.enable'), FILTER_VALIDATE_BOOLEAN)) {
    exit('plugmend:off');
}
if (!filter_var(ini_get('opcache.validate_timestamps'), FILTER_VALIDATE_BOOLEAN)) {
    exit('plugmend:unchecked');
}
if ($seconds < 1 || ($_SERVER['PLUGMEND_PASS'] === 'age' && ini_set('opcache.revalidate_freq', '0') === false)) {
    exit('plugmend:fixed');
}
$files = new RecursiveIteratorIterator(
    new RecursiveDirectoryIterator(realpath($_SERVER['PLUGMEND_ROOT']), FilesystemIterator::SKIP_DOTS),
    RecursiveIteratorIterator::LEAVES_ONLY,
    RecursiveIteratorIterator::CATCH_GET_CHILD
);
foreach ($files as $path => $file) {
    if (!$file->isLink()) {
        opcache_is_script_cached($path);
    }
}
echo 'plugmend:', $seconds;
