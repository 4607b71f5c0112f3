//! Headers whose items have weights (RFC 9110, 12.4.2).

/// The items of an `Accept` or `Accept-Language` header with their weights. A malformed weight
/// counts as 0.
pub(super) fn weighted(header: &str) -> impl Iterator<Item = (&str, f32)> {
    header.split(',').map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let range = parts.next().unwrap_or_default();
        let weight =
            parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        (
            range,
            weight.map_or(1.0, |text| text.parse::<f32>().unwrap_or(0.0).min(1.0)),
        )
    })
}
