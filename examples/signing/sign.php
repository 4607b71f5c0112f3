<?php
// Signs a link to wxqr. README.md beside this file has the rules.
//
//     LINK_KEY=... php sign.php scene_id=123 expire_seconds=3600 exp=1924963200
//
// prints what stands behind the question mark of the link.

declare(strict_types=1);

// What a signature covers, in the order in which it is signed.
const COVERED = ['exp', 'expire_seconds', 'permanent', 'scene_id', 'scene_str'];

/** Everything but A-Za-z0-9-._~ as %HH; a space is %20, not +. */
function encode(array $params): string
{
    return http_build_query($params, '', '&', PHP_QUERY_RFC3986);
}

/** The query string with its signature. */
function sign(string $key, array $params): string
{
    $covered = [];
    foreach (COVERED as $name) {
        if (isset($params[$name])) {
            $covered[$name] = $params[$name];
        }
    }
    $canonical = "/qrcode\n" . encode($covered);
    $digest = hash_hmac('sha256', $canonical, $key, true);
    $sig = rtrim(strtr(base64_encode($digest), '+/', '-_'), '=');
    return encode($params + ['sig' => $sig]);
}

$key = getenv('LINK_KEY');
if ($key === false || $key === '') {
    fwrite(STDERR, "LINK_KEY is not set\n");
    exit(1);
}
$given = [];
foreach (array_slice($argv, 1) as $arg) {
    [$name, $value] = explode('=', $arg, 2);
    $given[$name] = $value;
}
echo sign($key, $given), "\n";
