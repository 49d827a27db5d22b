<?php
// Drops all compiled code, and what this process remembers of paths.
if (($_SERVER['PLUGMEND_TOKEN'] ?? '') !== '@TOKEN@') { http_response_code(404); exit; }
clearstatcache(true);
echo 'plugmend:', (function_exists('opcache_reset') && opcache_reset()) ? 'yes' : 'off';
