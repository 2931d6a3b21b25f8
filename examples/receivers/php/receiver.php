<?php
// Takes Tocsin's webhooks and checks who sent them. Start it with the secret that Tocsin showed once:
//
//     TOCSIN_WEBHOOK_SECRET=whsec_… php -S 127.0.0.1:${PORT:-9000} receiver.php

const TOLERANCE_S = 300;
const MOST_BYTES = 1_000_000;

// Whether the body, as it came, was signed with our secret within the last five minutes.
function verified(string $key, string $id, string $at, string $signatures, string $body): bool
{
    if (!preg_match('/^[0-9]{1,12}$/D', $at) || abs(time() - (int) $at) > TOLERANCE_S) {
        return false;
    }
    $right = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$at.$body", $key, true));
    // Several, with spaces between, while the secret is being rotated. Compared in a time that tells nothing.
    foreach (explode(' ', $signatures) as $one) {
        if (hash_equals($right, $one)) {
            return true;
        }
    }
    return false;
}

$secret = getenv('TOCSIN_WEBHOOK_SECRET');
$key = base64_decode(preg_replace('/^whsec_/', '', $secret ?: ''), true);
if (strlen($key) < 24) {
    http_response_code(500);
    error_log('TOCSIN_WEBHOOK_SECRET is not whsec_ and the base64 of 24 bytes or more');
    exit;
}
$body = file_get_contents('php://input', length: MOST_BYTES);
[$id, $at, $signatures] = array_map(fn($name) => $_SERVER["HTTP_WEBHOOK_$name"] ?? '', ['ID', 'TIMESTAMP', 'SIGNATURE']);
$known = verified($key, $id, $at, $signatures, $body);
http_response_code($known ? 204 : 401);
if ($known) { // the id is the same in every attempt: what was done for it need not be done again
    error_log('verified ' . json_encode($id) . ' ' . strlen($body) . ' bytes');
}
