<?php
declare(strict_types=1);
// The PHP shop's front controller: loads the payments plugin from where it is installed and serves one customer with
// it. Every answer names the version of each of the plugin's parts, so that a mixture of two releases would show.

require $_SERVER['SHOP_PLUGIN'] . '/plugin.php';

header('Content-Type: application/json');
$answer = ['parts' => shop_gateway_parts()];
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $order = (string) ($_GET['order'] ?? '');
    shop_gateway_pay($_SERVER['SHOP_ORDERS'], $order);
    $answer['order'] = $order;
}
echo json_encode($answer), "\n";
