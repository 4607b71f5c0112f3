//! The cursor of a list: the order, and the place where a page ends.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::selection::order_name;
use crate::channels::{Order, OrderKey, Position, PositionKey};

/// The cursor of the page after this position.
pub(super) fn encode(position: &Position, order: Order) -> String {
    let key = match &position.key {
        PositionKey::Scene | PositionKey::Label(None) => String::new(),
        PositionKey::Label(Some(key)) => BASE64_URL_SAFE_NO_PAD.encode(key),
        PositionKey::Created(at) => at.to_string(),
    };
    // No scene has a line break.
    let lines = [order_name(order), &key, &position.scene.to_string()].join("\n");
    BASE64_URL_SAFE_NO_PAD.encode(lines)
}

/// The position of a cursor of a list in this order; none if it is not one.
pub(super) fn decode(cursor: &str, order: Order) -> Option<Position> {
    let lines = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let mut lines = lines.splitn(3, '\n');
    let (name, key, scene) = (lines.next()?, lines.next()?, lines.next()?);
    if name != order_name(order) {
        return None;
    }
    let key = match order.key {
        OrderKey::Scene if key.is_empty() => PositionKey::Scene,
        OrderKey::Scene => return None,
        OrderKey::Label if key.is_empty() => PositionKey::Label(None),
        OrderKey::Label => PositionKey::Label(Some(BASE64_URL_SAFE_NO_PAD.decode(key).ok()?)),
        OrderKey::Created => PositionKey::Created(key.parse().ok()?),
    };
    let scene = scene.parse().ok()?;
    Some(Position { scene, key })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions() -> impl Iterator<Item = (Position, Order)> {
        let keys = [
            (OrderKey::Scene, PositionKey::Scene),
            (OrderKey::Label, PositionKey::Label(None)),
            (
                OrderKey::Label,
                PositionKey::Label(Some(vec![b'a', 10, 255])),
            ),
            (OrderKey::Created, PositionKey::Created(1_790_000_000_123)),
        ];
        let scenes = ["QR_SCENE:7", "QR_LIMIT_STR_SCENE:展会:A"];
        scenes.into_iter().flat_map(move |scene| {
            let keys = keys.clone().into_iter();
            keys.flat_map(move |(order, key)| {
                [false, true].map(|reversed| {
                    let scene = scene.parse().unwrap();
                    let key = key.clone();
                    let order = Order {
                        key: order,
                        reversed,
                    };
                    (Position { scene, key }, order)
                })
            })
        })
    }

    #[test]
    fn a_cursor_names_the_place_that_it_came_from() {
        for (position, order) in positions() {
            let cursor = encode(&position, order);
            assert_eq!(decode(&cursor, order), Some(position), "{order:?}");
        }
    }

    #[test]
    fn a_cursor_is_of_one_order() {
        for (position, order) in positions() {
            let cursor = encode(&position, order);
            for (_, other) in positions().filter(|(_, other)| *other != order) {
                assert_eq!(decode(&cursor, other), None, "{order:?} as {other:?}");
            }
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for odd in [
            "",
            "!",
            "UVI6MQ",
            "UVJfU0NFTkU6MA",
            "c2NlbmUKClFSX1NDRU5FOjA",
        ] {
            assert_eq!(decode(odd, Order::default()), None, "cursor {odd:?}");
        }
    }
}
