//! Keys of the tests' service: one for each scope, so that a test says what its caller may do.

use wxqr::access::LinkKeys;

pub(crate) const MINT: &str = "mint-key-of-the-owner";
pub(crate) const PERMANENT: &str = "permanent-key-of-the-owner";
pub(crate) const STATS: &str = "stats-key-of-the-owner";
pub(crate) const PEOPLE: &str = "people-key-of-the-owner";
pub(crate) const BIND: &str = "bind-key-of-the-owner";
pub(crate) const ADMIN: &str = "admin-key-of-the-owner";

/// With two scopes, of which openids need both.
pub(crate) const STATS_AND_PEOPLE: &str = "reader-key-of-the-owner";

/// With two scopes: it sees every code, and changes permanent ones only.
pub(crate) const STATS_AND_PERMANENT: &str = "printer-key-of-the-owner";

/// What links are signed with, where a test sets `WXQR_LINK_KEYS` to it.
pub(crate) const LINK: &str = "link-key-of-the-owner";

/// All API keys as `WXQR_API_KEYS` takes them.
pub(crate) fn all() -> String {
    let keys = [
        ("mint", MINT, "mint"),
        ("permanent", PERMANENT, "permanent"),
        ("stats", STATS, "stats"),
        ("people", PEOPLE, "people"),
        ("bind", BIND, "bind"),
        ("admin", ADMIN, "admin"),
        ("reader", STATS_AND_PEOPLE, "stats+people"),
        ("printer", STATS_AND_PERMANENT, "stats+permanent"),
    ];
    let keys = keys.map(|(name, secret, scopes)| format!("{name}:{secret}:{scopes}"));
    keys.join(",")
}

/// The query with its signature by [`LINK`].
pub(crate) fn signed(query: &str) -> String {
    signed_by(LINK, query)
}

/// The same by another key.
pub(crate) fn signed_by(key: &str, query: &str) -> String {
    let keys: LinkKeys = key.parse().unwrap();
    let pairs = wxqr::form::pairs(query).unwrap();
    let pairs = pairs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    format!("{query}&sig={}", keys.sign(pairs).unwrap())
}
