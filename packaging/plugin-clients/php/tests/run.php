<?php

// Runs every tests/*Test.php, each a list of named functions, in this process. PHP brings no test runner of its own.

require __DIR__ . '/../autoload.php';
require __DIR__ . '/support.php';

error_reporting(E_ALL);
set_error_handler(static function ($level, $words, $file, $line) {
    throw new ErrorException($words, 0, $level, $file, $line);
});

[$passed, $failed, $skipped] = [0, 0, 0];
foreach (glob(__DIR__ . '/*Test.php') as $file) {
    foreach (require $file as $name => $test) {
        try {
            $test();
            $passed++;
            echo "ok      $name\n";
        } catch (Skipped $reason) {
            $skipped++;
            echo "skipped $name: ", $reason->getMessage(), "\n";
        } catch (Throwable $error) {
            $failed++;
            echo "FAILED  $name\n$error\n";
        } finally {
            clean_up();
        }
    }
}
echo "$passed passed, $failed failed, $skipped skipped\n";
exit($failed === 0 && $passed > 0 ? 0 : 1);
